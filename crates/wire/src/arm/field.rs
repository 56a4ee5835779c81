//! Reading typed fields out of a lenient body: a wrong type is named with its field.

use serde_json::{Map, Value};

use super::lenient_json::property;

/// A field that is missing, or of the wrong type or value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{field}' {problem}")]
pub struct FieldError {
    /// Its path, e.g. `properties.dataLocation`.
    pub field: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FieldError {
    /// `field` has `problem`.
    pub fn new(field: impl Into<String>, problem: &'static str) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }
}

/// An object of a body and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    path: &'a str,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub fn of(body: &'a Map<String, Value>) -> Self {
        Self {
            object: Some(body),
            path: "",
        }
    }

    /// The field, without regard to case; `null` counts as absent.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        property(self.object?, name).filter(|value| !value.is_null())
    }

    /// The object `name`; an absent one is empty.
    pub fn object(&self, name: &'a str) -> Result<Self, FieldError> {
        let object = self
            .value(name)
            .map(|value| value.as_object().ok_or("must be an object"))
            .transpose()
            .map_err(|problem| self.error(name, problem))?;
        Ok(Self { object, path: name })
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        let text = |value: &'a Value| value.as_str().ok_or("must be a string");
        self.read(name, text)
    }

    /// A truth value.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, FieldError> {
        self.read(name, |value| value.as_bool().ok_or("must be true or false"))
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>, FieldError> {
        self.read(name, |value| {
            let texts = value.as_array().and_then(|items| {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect()
            });
            texts.ok_or("must be a list of strings")
        })
    }

    /// `tags`: up to 50, names to texts.
    pub fn tags(&self) -> Result<Option<Map<String, Value>>, FieldError> {
        self.read("tags", |value| match value.as_object() {
            Some(tags) if !tags.values().all(Value::is_string) => Err("must map names to strings"),
            Some(tags) if tags.len() > 50 => Err("must have 50 entries at most"),
            Some(tags) => Ok(tags.clone()),
            None => Err("must be an object"),
        })
    }

    /// The error that `name` has `problem`.
    pub fn error(&self, name: &str, problem: &'static str) -> FieldError {
        let field = match self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        FieldError { field, problem }
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Result<T, &'static str>,
    ) -> Result<Option<T>, FieldError> {
        let value = self.value(name).map(read).transpose();
        value.map_err(|problem| self.error(name, problem))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_of_the_wrong_type_is_named_with_its_path() {
        let body =
            json!({ "Properties": { "dataLocation": 1, "disableLocalAuth": true }, "tags": null });
        let fields = Fields::of(body.as_object().unwrap());
        let properties = fields.object("properties").unwrap();
        let error = properties.text("dataLocation").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'properties.dataLocation' must be a string"
        );
        assert_eq!(properties.flag("disablelocalauth"), Ok(Some(true)));
        assert_eq!(fields.tags(), Ok(None));
        assert_eq!(fields.object("identity").unwrap().text("type"), Ok(None));
    }
}

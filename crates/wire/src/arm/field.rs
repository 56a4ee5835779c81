//! Reading typed fields out of a lenient body: a wrong type is named with its field.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::lenient_json::property;

/// A field that is missing, or of the wrong type or value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{field}' {problem}")]
pub struct FieldError {
    /// Its path, e.g. `properties.dataLocation`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Cow<'static, str>,
}

impl FieldError {
    /// `field` has `problem`.
    pub fn new(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// An object of a body and where it stands.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub fn of(body: &'a Map<String, Value>) -> Self {
        Self {
            object: Some(body),
            path: String::new(),
        }
    }

    /// The field, without regard to case; `null` counts as absent.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        property(self.object?, name).filter(|value| !value.is_null())
    }

    /// The names of all fields, as they are written.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let object = self.object.into_iter();
        object.flat_map(Map::keys).map(String::as_str)
    }

    /// The object `name`; an absent one is empty.
    pub fn object(&self, name: &str) -> Result<Self, FieldError> {
        let object = self.read(name, |value| value.as_object().ok_or("must be an object"))?;
        Ok(Self {
            object,
            path: self.path_of(name),
        })
    }

    /// The object `name`, if there is one.
    pub fn optional(&self, name: &str) -> Result<Option<Self>, FieldError> {
        let object = self.object(name)?;
        Ok(object.object.is_some().then_some(object))
    }

    /// A list of objects; an absent one is empty.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, FieldError> {
        let items = self.read(name, |value| {
            let items = value.as_array().ok_or("must be a list of objects")?;
            let items = items.iter().map(Value::as_object);
            items
                .collect::<Option<Vec<_>>>()
                .ok_or("must be a list of objects")
        })?;
        let path = self.path_of(name);
        let items = items.unwrap_or_default().into_iter().enumerate();
        Ok(items
            .map(|(index, object)| Self {
                object: Some(object),
                path: format!("{path}[{index}]"),
            })
            .collect())
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

    /// A whole number between `least` and `most`.
    pub fn number(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, FieldError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let problem = format!("must be a whole number from {least} to {most}");
                Err(self.error(name, problem))
            }
        }
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
    pub fn error(&self, name: &str, problem: impl Into<Cow<'static, str>>) -> FieldError {
        FieldError::new(self.path_of(name), problem)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
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

    #[test]
    fn a_field_deep_inside_is_named_with_its_whole_path() {
        let body = json!({ "a": { "list": [{ "n": 1 }, { "n": 7 }, { "n": 1.5 }] } });
        let fields = Fields::of(body.as_object().unwrap());
        let items = fields.object("a").unwrap().objects("list").unwrap();
        assert_eq!(items[0].number("n", 1, 6), Ok(Some(1)));
        for (index, item) in items.iter().enumerate().skip(1) {
            assert_eq!(
                item.number("n", 1, 6).unwrap_err().to_string(),
                format!("'a.list[{index}].n' must be a whole number from 1 to 6")
            );
        }
        assert!(fields.optional("b").unwrap().is_none());
        assert_eq!(fields.objects("a").unwrap_err().field, "a");
    }
}

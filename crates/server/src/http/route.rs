//! The route table: paths matched segment by segment, fixed segments without regard to case.
//!
//! Azure's clients spell fixed segments in several cases, add a trailing slash, double slashes, and put verbs
//! behind a colon (`/calls/{id}:accept`); a stock router does none of that. Parameters keep their case and are
//! percent-decoded.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use http::Method;
use percent_encoding::percent_decode_str;
use service::App;

use super::access::Access;
use super::error::Surface;
use super::request::Request;

/// What a handler comes to.
pub type Answer = Pin<Box<dyn Future<Output = service::Result<Response>> + Send>>;

/// One row of the table.
pub struct Route {
    pub(super) method: Method,
    /// The pattern as the table writes it: what logs and metrics call the route.
    pub(super) pattern: &'static str,
    segments: Vec<Segment>,
    /// Whose error envelope and headers it has.
    pub(super) surface: Surface,
    /// What the caller must prove.
    pub(super) access: Access,
    /// Most bytes of a body.
    pub(super) body_limit: usize,
    pub(super) handler: Box<dyn Fn(App, Request) -> Answer + Send + Sync>,
}

enum Segment {
    /// Compared without regard to case.
    Fixed(&'static str),
    /// `{name}`, one segment.
    Param(&'static str),
    /// `{name}:verb`, one segment with a fixed end.
    Verb(&'static str, &'static str),
    /// `{name...}`, one segment or more, to the end or to the fixed segments behind it.
    Rest(&'static str),
}

/// The parameters of a matched path.
#[derive(Debug, Default)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The parameter `name`; the route's pattern has it.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// All of them.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }
}

/// Most bytes of a body unless the row says otherwise.
pub const BODY_LIMIT: usize = 1024 * 1024;

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        pub fn $name<F, Fut>(pattern: &'static str, surface: Surface, access: Access, handler: F) -> Route
        where
            F: Fn(App, Request) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = service::Result<Response>> + Send + 'static,
        {
            Route::new(Method::$method, pattern, surface, access, handler)
        }
    };
}
method!(/// A `GET` row.
    get, GET);
method!(/// A `HEAD` row.
    head, HEAD);
method!(/// A `POST` row.
    post, POST);
method!(/// A `PUT` row.
    put, PUT);
method!(/// A `PATCH` row.
    patch, PATCH);
method!(/// A `DELETE` row.
    delete, DELETE);
method!(/// An `OPTIONS` row.
    options, OPTIONS);

impl Route {
    fn new<F, Fut>(
        method: Method,
        pattern: &'static str,
        surface: Surface,
        access: Access,
        handler: F,
    ) -> Self
    where
        F: Fn(App, Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = service::Result<Response>> + Send + 'static,
    {
        Self {
            method,
            pattern,
            segments: pattern
                .split('/')
                .filter(|part| !part.is_empty())
                .map(Segment::parse)
                .collect(),
            surface,
            access,
            body_limit: BODY_LIMIT,
            handler: Box::new(move |app, request| Box::pin(handler(app, request))),
        }
    }

    /// Another limit for the body.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl Segment {
    fn parse(part: &'static str) -> Self {
        let Some(rest) = part.strip_prefix('{') else {
            return Self::Fixed(part);
        };
        let Some((name, after)) = rest.split_once('}') else {
            return Self::Fixed(part);
        };
        match (name.strip_suffix("..."), after) {
            (Some(name), _) => Self::Rest(name),
            (None, "") => Self::Param(name),
            (None, verb) => Self::Verb(name, verb),
        }
    }

    /// The parameter that `part` gives here, `Some(None)` for a fixed segment, `None` if it does not match.
    fn matches(&self, part: &str) -> Option<Option<(&'static str, String)>> {
        match self {
            Self::Fixed(fixed) => part.eq_ignore_ascii_case(fixed).then_some(None),
            Self::Param(name) => Some(Some((name, decode(part)))),
            Self::Verb(name, verb) => {
                let at = part.len().checked_sub(verb.len())?;
                let (value, end) = part.split_at_checked(at)?;
                (!value.is_empty() && end.eq_ignore_ascii_case(verb))
                    .then(|| Some((*name, decode(value))))
            }
            Self::Rest(_) => None,
        }
    }
}

/// All rows, found by method and path.
pub struct Table {
    routes: Vec<Route>,
    /// Rows by the lower-cased first fixed segment; rows that begin with a parameter are under "".
    first: HashMap<String, Vec<usize>>,
}

/// What the table says about a request.
pub enum Found<'t> {
    /// This row, with these parameters.
    Route(&'t Route, Params),
    /// The path exists with other methods; the surface of one of them.
    OtherMethod(Surface, Vec<Method>),
    /// No such path.
    Nothing,
}

impl Table {
    /// A table of `routes`, in order of precedence.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut first: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let key = match route.segments.first() {
                Some(Segment::Fixed(fixed)) => fixed.to_ascii_lowercase(),
                _ => String::new(),
            };
            first.entry(key).or_default().push(index);
        }
        Self { routes, first }
    }

    /// Finds the row for a request. `path` is the raw path of the request line.
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let named = parts
            .first()
            .and_then(|part| self.first.get(&part.to_ascii_lowercase()));
        let mut other = Vec::new();
        let mut surface = Surface::Plain;
        for &index in named.into_iter().chain(self.first.get("")).flatten() {
            let route = &self.routes[index];
            let Some(params) = matches(&route.segments, &parts) else {
                continue;
            };
            if route.method == *method {
                return Found::Route(route, Params(params));
            }
            // The first row says whose path it is; a pattern such as `/{hub}` behind it has no say.
            if other.is_empty() {
                surface = route.surface;
            }
            if route.surface == surface && !other.contains(&route.method) {
                other.push(route.method.clone());
            }
        }
        if other.is_empty() {
            Found::Nothing
        } else {
            Found::OtherMethod(surface, other)
        }
    }
}

fn matches(segments: &[Segment], parts: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let mut params = Vec::new();
    let mut at = 0;
    for (index, segment) in segments.iter().enumerate() {
        if let Segment::Rest(name) = segment {
            let behind = segments.len() - index - 1;
            let end = parts.len().checked_sub(behind).filter(|end| *end > at)?;
            params.push((
                *name,
                parts[at..end]
                    .iter()
                    .map(|part| decode(part))
                    .collect::<Vec<_>>()
                    .join("/"),
            ));
            at = end;
            continue;
        }
        params.extend(segment.matches(parts.get(at)?)?);
        at += 1;
    }
    (at == parts.len()).then_some(params)
}

fn decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        patterns: &[&'static str],
        path: &str,
    ) -> Option<(usize, Vec<(&'static str, String)>)> {
        patterns.iter().enumerate().find_map(|(index, pattern)| {
            let segments: Vec<_> = pattern
                .split('/')
                .filter(|part| !part.is_empty())
                .map(Segment::parse)
                .collect();
            let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
            matches(&segments, &parts).map(|params| (index, params))
        })
    }

    #[test]
    fn fixed_segments_ignore_case_and_slashes() {
        let patterns = ["/{hub}/messages/$batch", "/{hub}/messages"];
        assert_eq!(
            found(&patterns, "//Hub1/Messages/"),
            Some((1, vec![("hub", "Hub1".into())]))
        );
        assert_eq!(
            found(&patterns, "/hub1/messages/$batch"),
            Some((0, vec![("hub", "hub1".into())]))
        );
        assert_eq!(found(&patterns, "/hub1"), None);
    }

    #[test]
    fn verbs_stand_behind_a_parameter_or_alone() {
        let patterns = [
            "/calling/calls/{id}:accept",
            "/identities/{id}/:issueAccessToken",
        ];
        assert_eq!(
            found(&patterns, "/calling/calls/c1:Accept"),
            Some((0, vec![("id", "c1".into())]))
        );
        assert_eq!(
            found(&patterns, "/identities/8%3Aacs%3Aa_b/:issueAccessToken"),
            Some((1, vec![("id", "8:acs:a_b".into())]))
        );
        assert_eq!(found(&patterns, "/calling/calls/:accept"), None);
    }

    #[test]
    fn a_rest_parameter_takes_all_but_the_fixed_end() {
        let patterns = ["/{hub...}/messages"];
        assert_eq!(
            found(&patterns, "/a/b/messages"),
            Some((0, vec![("hub", "a/b".into())]))
        );
        assert_eq!(found(&patterns, "/messages"), None);
    }
}

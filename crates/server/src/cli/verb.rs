//! `carillon GET|POST|PUT|PATCH|DELETE <path> [body]`: the control plane from the shell, as armclient does it.
//!
//! The body goes out as it was typed: ARM reads more than strict JSON (single quotes, bare keys), and so do we.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use service::{Clock, Random};

use super::client::{Client, Target};
use super::{json, login};
use crate::data_dir::cannot;
use crate::failure::{Failure, Result};

/// Send a request to the control plane and print the answer.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct Verb {
    /// The path with its query, e.g. "/subscriptions?api-version=2022-12-01", or a whole address
    path: String,
    /// The body: text that is sent as it stands, @FILE, or the name of a file; without it, standard input
    body: Option<String>,
    /// Add a header, "Name: value"
    #[arg(short = 'h', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Show request and response on standard error
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    target: Target,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

impl Verb {
    pub(super) async fn run(self, method: Method) -> Result<()> {
        let body = self.body(&method)?;
        let client = self.target.find()?;
        let request = self.request(&client, method, body).await?;
        if self.verbose {
            show_request(&request);
        }
        let began = Clock::System.instant();
        let response = client
            .http
            .execute(request)
            .await
            .map_err(|error| client.unreachable(&error))?;
        if self.verbose {
            show_response(&response, Clock::System.instant().duration_since(began));
        }
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| client.unreachable(&error))?;
        if !text.is_empty() {
            say!("{}", json::pretty(&text))?;
        }
        if status.is_success() {
            return Ok(());
        }
        let failure = Failure::failed(format!(
            "{} answers {status}{}",
            client.base_url,
            json::error_of(&text)
        ));
        Err(match status {
            StatusCode::UNAUTHORIZED => failure.way_out("`carillon login` signs in"),
            _ => failure,
        })
    }

    async fn request(
        &self,
        client: &Client,
        method: Method,
        body: Option<Vec<u8>>,
    ) -> Result<reqwest::Request> {
        let mut request = reqwest::Request::new(method, client.url(&self.path)?);
        let id = Random::System.uuid().to_string();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        for name in [
            "x-ms-request-id",
            "x-ms-client-request-id",
            "x-ms-correlation-request-id",
        ] {
            headers.insert(name, HeaderValue::from_str(&id).map_err(Failure::failed)?);
        }
        if let Some(body) = &body {
            let xml = body.trim_ascii_start().starts_with(b"<");
            let kind = if xml {
                "text/xml; charset=utf-8"
            } else {
                "application/json; charset=utf-8"
            };
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            let mut bearer =
                HeaderValue::from_str(&format!("Bearer {}", login::token(client).await?)).map_err(
                    |_| {
                        Failure::failed("the token is not a header value")
                            .way_out("run `carillon login` again")
                    },
                )?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        *request.body_mut() = body.map(Into::into);
        Ok(request)
    }

    /// The body as armclient finds it; none for GET and DELETE.
    fn body(&self, method: &Method) -> Result<Option<Vec<u8>>> {
        if matches!(*method, Method::GET | Method::DELETE) {
            return match &self.body {
                Some(_) => Err(Failure::usage(format!("{method} takes no body"))),
                None => Ok(None),
            };
        }
        let body = match &self.body {
            Some(text) => match text.strip_prefix('@') {
                Some(file) => read_file(Path::new(file))?,
                None if Path::new(text).is_file() => read_file(Path::new(text))?,
                None => text.clone().into_bytes(),
            },
            None if io::stdin().is_terminal() => Vec::new(),
            None => read_stdin()?,
        };
        if body.is_empty() && *method != Method::POST {
            return Err(Failure::usage(format!("{method} needs a body"))
                .way_out("give it as text, as @FILE, or on standard input"));
        }
        Ok(Some(body))
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| cannot("read", path, &error))
}

fn read_stdin() -> Result<Vec<u8>> {
    let mut body = Vec::new();
    io::stdin()
        .read_to_end(&mut body)
        .map_err(Failure::failed)?;
    Ok(body)
}

pub(super) fn parse_header(text: &str) -> std::result::Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("it must be \"Name: value\"")?;
    let name = name
        .trim()
        .parse::<HeaderName>()
        .map_err(|error| error.to_string())?;
    let value = value
        .trim()
        .parse::<HeaderValue>()
        .map_err(|error| error.to_string())?;
    Ok((name, value))
}

fn show_request(request: &reqwest::Request) {
    eprintln!("---------- Request ----------");
    eprintln!("{} {}", request.method(), request.url());
    show_headers(request.headers());
    if let Some(body) = request.body().and_then(reqwest::Body::as_bytes) {
        eprintln!("\n{}", String::from_utf8_lossy(body));
    }
}

fn show_response(response: &reqwest::Response, took: std::time::Duration) {
    eprintln!("---------- Response ({} ms) ----------", took.as_millis());
    eprintln!("{:?} {}", response.version(), response.status());
    show_headers(response.headers());
    eprintln!();
}

fn show_headers(headers: &http::HeaderMap) {
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        if name == header::AUTHORIZATION {
            let start: String = text.chars().take(20).collect();
            eprintln!("{name}: {start}…");
        } else {
            eprintln!("{name}: {text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_name_and_a_value() {
        let (name, value) = parse_header("If-Match: \"a:b\"").unwrap();
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("if-match", "\"a:b\"")
        );
        assert!(parse_header("If-Match").is_err());
        assert!(parse_header("a b: c").is_err());
    }
}

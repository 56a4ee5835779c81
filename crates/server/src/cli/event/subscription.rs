//! The event subscription that a command is about.

use clap::Args;
use http::Method;
use serde_json::Value;
use url::form_urlencoded;

use crate::cli::client::{Client, Target};
use crate::cli::control::{API_VERSION, Control};
use crate::failure::{Failure, Result};

/// An event subscription.
#[derive(Debug, Args)]
pub(super) struct Subscription {
    /// The subscription: its name, or its whole resource id
    #[arg(value_name = "SUBSCRIPTION")]
    name: String,
    #[command(flatten)]
    target: Target,
}

/// An event subscription, found.
pub(super) struct Found<'c> {
    control: Control<'c>,
    id: String,
}

impl Subscription {
    /// The server it is at.
    pub(super) fn client(&self) -> Result<Client> {
        self.target.find()
    }

    /// Finds it: by its resource id, or as the only one with its name.
    pub(super) async fn find<'c>(&self, client: &'c Client) -> Result<Found<'c>> {
        let control = Control::new(client).await?;
        let name = &self.name;
        if name.starts_with('/') {
            let id = name.clone();
            return Ok(Found { control, id });
        }
        match control.named(KIND, name).await?.as_slice() {
            [id] => {
                let id = id.clone();
                Ok(Found { control, id })
            }
            [] => {
                // A name may stand at several sources.
                let mut others = control.names(KIND, SHOWN).await?;
                others.sort();
                others.dedup();
                let unknown = format!("there is no event subscription {name}");
                Err(Failure::failed(unknown).way_out(known(&others)))
            }
            ids => {
                let several = format!("there are {} event subscriptions {name}", ids.len());
                let way_out = format!("give the resource id of one: {}", ids.join(", "));
                Err(Failure::failed(several).way_out(way_out))
            }
        }
    }
}

impl Found<'_> {
    /// The answer to a GET of something below it.
    pub(super) async fn get(&self, below: &str, query: &[(&str, &str)]) -> Result<Value> {
        let path = self.path(below, query);
        self.control.send(Method::GET, &path, None).await
    }

    /// The answer to a POST of something below it.
    pub(super) async fn post(&self, below: &str, body: &Value) -> Result<Value> {
        let path = self.path(below, &[]);
        self.control.send(Method::POST, &path, Some(body)).await
    }

    /// Deletes it.
    pub(super) async fn delete(&self) -> Result<()> {
        let path = format!("{}?{API_VERSION}", self.id);
        self.control
            .send(Method::DELETE, &path, None)
            .await
            .map(drop)
    }

    /// Every item of a list that `only` asks for, page by page, until `show` has had enough.
    pub(super) async fn each(
        &self,
        below: &str,
        only: &[(&str, &str)],
        mut show: impl FnMut(&Value) -> Result<bool>,
    ) -> Result<()> {
        let mut after = String::new();
        loop {
            let mut query = vec![("after", after.as_str())];
            query.extend(only);
            let page = self.get(below, &query).await?;
            for item in page["value"].as_array().into_iter().flatten() {
                if !show(item)? {
                    return Ok(());
                }
            }
            match page["after"].as_str() {
                Some(next) => after = next.to_owned(),
                None => return Ok(()),
            }
        }
    }

    fn path(&self, below: &str, query: &[(&str, &str)]) -> String {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()))
            .finish();
        format!("{}/{below}?{API_VERSION}&{query}", self.id)
    }
}

fn known(names: &[String]) -> String {
    match names {
        [] => "there is none yet: `carillon event subscribe` makes one".to_owned(),
        _ if names.len() < SHOWN => format!("there are: {}", names.join(", ")),
        _ => format!("there are {} and more", names.join(", ")),
    }
}

const KIND: &str = "eventSubscriptions";
/// Names in an error.
const SHOWN: usize = 20;

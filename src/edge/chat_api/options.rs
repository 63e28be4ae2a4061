//! What an operator may say about the interface of the earlier chat service.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::names::{ModelName, UpstreamId};

/// Roles by key, in the order in which `/roles` lists them.
pub type ChatRolesOptions = IndexMap<String, ChatRoleOptions>;

/// Models that `/generate/image` asks for, by upstream.
pub type ChatImageModels = IndexMap<UpstreamId, ModelName>;

/// One role that a chat may ask for. What is left out stays as it is built in, where the role is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChatRoleOptions {
    /// Its name for people. Default: its key.
    pub name: Option<String>,
    /// What people are told of it. Default: nothing.
    pub description: Option<String>,
    /// A sign shown beside the name, such as an emoji. Default: none.
    pub icon: Option<String>,
    /// The system prompt of its chats; clients do not see it. Default: that of the route whose `model` is the role's key.
    pub system: Option<String>,
    /// What a chat begins with that `/chat/start` opens. Default: a greeting by its name.
    pub welcome: Option<String>,
    /// Model of its chats that name neither model nor provider. Default: the route whose prompt it has, else
    /// `default_model`, else that of `default_upstream`.
    pub model: Option<ModelName>,
    /// Not offered, though built in. Default false.
    pub off: bool,
}

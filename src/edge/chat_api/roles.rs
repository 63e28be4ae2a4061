//! The roles a chat may ask for: built-in ones, those of `chat_roles`, and routes that have a system prompt.

use serde::Serialize;

use crate::edge::chat_api::options::{ChatRoleOptions, ChatRolesOptions};
use crate::names::ModelName;
use crate::route::options::RouteOptions;

/// A role with everything filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Role {
    pub key: String,
    pub name: String,
    pub description: String,
    pub icon: String,
    #[serde(skip)]
    pub system: String,
    #[serde(skip)]
    pub welcome: String,
    /// Where its chats go that name neither model nor provider.
    #[serde(skip)]
    pub model: Option<ModelName>,
}

/// The role of a chat that names none.
pub const USUAL: &str = "assistant";

struct BuiltIn {
    key: &'static str,
    name: &'static str,
    description: &'static str,
    icon: &'static str,
    system: &'static str,
    welcome: &'static str,
}

const BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        key: USUAL,
        name: "Assistant",
        description: "Answers questions of any kind and helps with everyday work.",
        icon: "🤖",
        system: "You are a helpful assistant. Answer in the language you are addressed in. Say what you know first and \
                 plainly, keep it as short as the question allows, and say so when you are not sure.",
        welcome: "Hello! What can I do for you?",
    },
    BuiltIn {
        key: "teacher",
        name: "Teacher",
        description: "Explains step by step and lets you find the answer yourself.",
        icon: "🎓",
        system: "You are a patient teacher. Answer in the language you are addressed in. Find out what is known already, \
                 explain one idea at a time in plain words with a small example, and end with a question that lets the \
                 learner try it.",
        welcome: "Hello! What would you like to understand today?",
    },
    BuiltIn {
        key: "programmer",
        name: "Programmer",
        description: "Writes, reads and repairs programs, and says why.",
        icon: "💻",
        system: "You are an experienced programmer. Answer in the language you are addressed in. Give code that is \
                 complete and runs, in the language and style at hand, name what it assumes, and explain only what the \
                 code does not say itself. Point out mistakes and risks you notice.",
        welcome: "Hello! What are we building, or what is broken?",
    },
];

/// All roles in the order of their list, and the keys of those that have no system prompt from anywhere.
pub fn resolve(own: &ChatRolesOptions, routes: &[RouteOptions]) -> (Vec<Role>, Vec<String>) {
    let prompt = |it: &RouteOptions| it.system.clone().filter(|it| !it.trim().is_empty());
    let alias = |key: &str| {
        routes.iter().find(|it| it.model.as_ref().is_some_and(|it| it.as_str() == key)).and_then(prompt)
    };
    let of_routes = routes.iter().filter(|it| prompt(it).is_some()).filter_map(|it| it.model.as_ref());
    let mut keys: Vec<&str> = BUILT_IN.iter().map(|it| it.key).collect();
    let named = own.keys().map(String::as_str).chain(of_routes.map(ModelName::as_str));
    for key in named {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let (mut roles, mut without) = (Vec::new(), Vec::new());
    let nothing = ChatRoleOptions::default();
    for key in keys {
        let own = own.get(key).unwrap_or(&nothing);
        if own.off {
            continue;
        }
        match role(key, own, alias(key)) {
            Some(role) => roles.push(role),
            None => without.push(key.to_owned()),
        }
    }
    (roles, without)
}

/// The role as `own` says it, over the route of its name, over what is built in; None where nobody has a prompt for it.
fn role(key: &str, own: &ChatRoleOptions, route: Option<String>) -> Option<Role> {
    let built_in = BUILT_IN.iter().find(|it| it.key == key);
    let or = |own: &Option<String>, built_in: Option<&str>| {
        own.clone().filter(|it| !it.is_empty()).or(built_in.map(str::to_owned))
    };
    // A prompt of its own is not meant for the route, which would put its own one before it.
    let leads_to_route = own.system.is_none() && route.is_some();
    let system = own.system.clone().or(route).or(built_in.map(|it| it.system.to_owned()));
    let name = or(&own.name, built_in.map(|it| it.name)).unwrap_or_else(|| key.to_owned());
    Some(Role {
        key: key.to_owned(),
        description: or(&own.description, built_in.map(|it| it.description)).unwrap_or_default(),
        icon: or(&own.icon, built_in.map(|it| it.icon)).unwrap_or_default(),
        system: system.filter(|it| !it.trim().is_empty())?,
        welcome: or(&own.welcome, built_in.map(|it| it.welcome))
            .unwrap_or_else(|| format!("Hello! This is {name}. What can I do for you?")),
        model: own.model.clone().or_else(|| leads_to_route.then(|| key.into())),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(model: &str, system: Option<&str>) -> RouteOptions {
        RouteOptions { model: Some(model.into()), system: system.map(Into::into), ..RouteOptions::default() }
    }

    #[test]
    fn three_roles_are_built_in() {
        let (roles, without) = resolve(&ChatRolesOptions::new(), &[]);
        let keys: Vec<_> = roles.iter().map(|it| it.key.as_str()).collect();
        assert_eq!((keys, without.len()), (vec!["assistant", "teacher", "programmer"], 0));
        assert!(roles.iter().all(|it| !it.system.is_empty() && it.model.is_none()));
        let shown = serde_json::to_value(&roles[0]).unwrap();
        assert_eq!(shown.as_object().unwrap().len(), 4, "the prompt is not public: {shown}");
    }

    #[test]
    fn a_role_is_what_the_operator_says_over_its_route_over_what_is_built_in() {
        let own = |system: Option<&str>| ChatRoleOptions {
            icon: Some("*".into()),
            system: system.map(Into::into),
            ..ChatRoleOptions::default()
        };
        let check = |own: ChatRoleOptions, routes: &[RouteOptions], system: &str, model: Option<&str>| {
            let (roles, _) = resolve(&[("teacher".to_owned(), own)].into(), routes);
            let teacher = roles.iter().find(|it| it.key == "teacher").unwrap();
            assert!(teacher.system.starts_with(system), "{teacher:?}");
            assert_eq!(teacher.model.as_ref().map(ModelName::as_str), model);
            assert_eq!((teacher.name.as_str(), teacher.icon.as_str()), ("Teacher", "*"));
        };
        let routes = [route("teacher", Some("Teach.")), route("smart", Some("Be smart."))];
        check(own(None), &[], "You are a patient", None);
        check(own(None), &routes, "Teach.", Some("teacher"));
        check(own(Some("Mine.")), &routes, "Mine.", None);
        check(ChatRoleOptions { model: Some("big".into()), ..own(None) }, &routes, "Teach.", Some("big"));
        check(own(None), &[route("teacher", None)], "You are a patient", None);
    }

    #[test]
    fn routes_with_a_prompt_are_roles_and_roles_without_one_are_faults() {
        let poet = ("poet".to_owned(), ChatRoleOptions::default());
        let gone = ("teacher".to_owned(), ChatRoleOptions { off: true, ..ChatRoleOptions::default() });
        let (roles, without) = resolve(&[poet, gone].into(), &[route("smart", Some("Be smart."))]);
        let keys: Vec<_> = roles.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["assistant", "programmer", "smart"]);
        assert_eq!(without, ["poet"]);
        assert_eq!(roles[2].welcome, "Hello! This is smart. What can I do for you?");
    }
}

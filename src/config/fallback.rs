//! Checks where routes send calls that their targets could not serve: names that nothing bears, and routes that refer to
//! each other in a circle; and hedges without a second target.

use crate::route::cause::{Cause, Named, named};
use crate::route::options::RouteOptions;

use super::fault::hint;
use super::load::Draft;
use super::resolve::Resolved;

/// A reference of one route to another: its place in the file, and the route.
struct Reference {
    cause: Cause,
    place: usize,
    to: usize,
}

pub(super) fn check(draft: &mut Draft, routes: &[RouteOptions], resolved: &Resolved) {
    for route in routes.iter().filter(|it| it.hedge.is_some() && it.targets.len() == 1) {
        let name = route.name().unwrap_or_default();
        draft.warnings.push(format!("route `{name}`: `hedge` has no second target to ask"));
    }
    let references: Vec<_> =
        (0..routes.len()).map(|from| check_names(draft, routes, from, resolved)).collect();
    let mut circles = Circles { draft, routes, references: &references, done: vec![false; routes.len()] };
    (0..routes.len()).for_each(|from| circles.follow(from, &mut Vec::new()));
}

/// Reports names without a meaning; gives the references to routes.
fn check_names(
    draft: &mut Draft,
    routes: &[RouteOptions],
    from: usize,
    resolved: &Resolved,
) -> Vec<Reference> {
    let mut references = Vec::new();
    for cause in Cause::ALL {
        for (place, name) in routes[from].on.of(cause).iter().enumerate() {
            let unknown = match named(name, routes) {
                Some(Named::Route(to)) => {
                    references.push(Reference { cause, place, to });
                    continue;
                }
                Some(Named::Target { upstream, .. }) if resolved.is_used(upstream) => continue,
                Some(Named::Target { upstream, .. }) => match resolved.reason(upstream) {
                    Some(reason) => {
                        let own = routes[from].name().unwrap_or_default();
                        let warning = format!("route `{own}`: fallback `{name}` is off ({reason})");
                        draft.warnings.push(warning);
                        continue;
                    }
                    None => format!("no upstream is called `{upstream}`{}", hint(upstream, resolved.names())),
                },
                None => no_route(name, routes, resolved),
            };
            fault(draft, from, cause, place, unknown);
        }
    }
    references
}

fn no_route(name: &str, routes: &[RouteOptions], resolved: &Resolved) -> String {
    if resolved.names().any(|it| it == name) {
        return format!("`{name}` is an upstream: say which of its models, as `{name}/model`");
    }
    format!("no route is called `{name}`{}", hint(name, routes.iter().filter_map(RouteOptions::name)))
}

fn fault(draft: &mut Draft, route: usize, cause: Cause, place: usize, message: String) {
    draft.fault(&["routes", &route.to_string(), "on", cause.as_str(), &place.to_string()], message);
}

struct Circles<'a> {
    draft: &'a mut Draft,
    routes: &'a [RouteOptions],
    references: &'a [Vec<Reference>],
    /// Routes from which every circle is known.
    done: Vec<bool>,
}

impl Circles<'_> {
    /// Follows all references of `from`, to which those of `path` led; one that leads back into it closes a circle.
    fn follow(&mut self, from: usize, path: &mut Vec<usize>) {
        if self.done[from] {
            return;
        }
        path.push(from);
        for reference in &self.references[from] {
            match path.iter().position(|it| *it == reference.to) {
                Some(start) => self.report(&path[start..], from, reference),
                None => self.follow(reference.to, path),
            }
        }
        path.pop();
        self.done[from] = true;
    }

    fn report(&mut self, circle: &[usize], from: usize, closing: &Reference) {
        let names = circle.iter().chain(&circle[..1]);
        let names: Vec<_> =
            names.map(|it| format!("`{}`", self.routes[*it].name().unwrap_or_default())).collect();
        let message = format!("these routes lead back to where they began: {}", names.join(" → "));
        fault(self.draft, from, closing.cause, closing.place, message);
    }
}

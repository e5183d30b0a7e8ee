//! Finds why the operator does nothing, as it says (cluster-objects §2, §4.1).

use super::case::Case;
use super::finding::{Evidence, Finding, Remedy};
use super::phase::is_refusal;
use super::remedies::{nudge, secret_of};
use super::scenario::Scenario;
use super::text::quoted;
use crate::objects::{Condition, Destination, ExternalSecret, condition};
use crate::text::one_line;

const NEXT: &str = "the operator tries again by itself, at the latest 16 minutes after its last try; any change of \
                    the ReplicationDestination, an annotation too, makes it try at once";

/// Finds why the operator refuses.
pub(super) fn look(case: &Case<'_, '_>) -> Option<Finding> {
    let destination = case.app.destination?;
    let said = destination.synchronizing().filter(|said| is_refusal(said))?;
    let message = said.message.as_str();
    let evidence = Evidence::of(
        destination,
        "status.conditions[Synchronizing].message",
        one_line(message, 600),
        said.last_transition_time,
    );
    let finding = if message.contains("Secret \"") && message.contains("not found") {
        secret(case, destination, quoted(message).unwrap_or_default())
    } else if message.contains("missing field") || message.contains("secret should have fields") {
        key(destination, message)
    } else if message.contains("replication method") {
        method(destination)
    } else if message.contains("exceeded quota") {
        quota(destination)
    } else {
        Finding::broken(Scenario::Refused, "the operator's own words say why it does not begin")
            .to_do([Remedy::say("correct what the message names")])
    };
    let mut finding = finding.then(NEXT);
    finding.evidence.insert(0, evidence);
    Some(finding)
}

fn secret(case: &Case<'_, '_>, destination: &Destination, name: &str) -> Finding {
    let namespace = &destination.metadata.namespace;
    let external = case.index.view.external_secrets.of(namespace).find(|external| external.secret() == name);
    let unready = external.and_then(|external| Some((external, not_ready(external)?)));
    let Some((external, said)) = unready else {
        let cause = format!("the restore reads its repository from the Secret {name}, which is not there");
        return Finding::broken(Scenario::NoSecret, cause).to_do([
            Remedy::run("see which Secrets are there", format!("kubectl -n {namespace} get secrets")),
            Remedy::say(format!(
                "apply the Secret {name} (it may not have been decrypted, or not been applied)"
            )),
            nudge(destination),
        ]);
    };
    let cause = format!(
        "the Secret {name} is made by the ExternalSecret {}, which cannot read it from its store",
        external.metadata.name
    );
    let evidence = Evidence::of(
        external,
        "status.conditions[Ready].message",
        one_line(&format!("{}: {}", said.reason, said.message), 600),
        said.last_transition_time,
    );
    Finding::broken(Scenario::ExternalSecret, cause).with([evidence]).to_do([
        Remedy::run(
            "see what its store answers",
            format!("kubectl -n {namespace} describe externalsecret {}", external.metadata.name),
        ),
        Remedy::say("correct the store, or the key that it names"),
    ])
}

fn not_ready(external: &ExternalSecret) -> Option<&Condition> {
    condition(&external.status.conditions, "Ready").filter(|ready| ready.status != "True")
}

fn key(destination: &Destination, message: &str) -> Finding {
    let (namespace, name) = (&destination.metadata.namespace, secret_of(destination));
    let missing = message.rsplit_once("missing field: ").map(|(_, key)| key.trim());
    let cause = match missing {
        Some(key) => format!("the Secret {name} has no key {key}"),
        None => format!("the Secret {name} lacks KOPIA_REPOSITORY or KOPIA_PASSWORD"),
    };
    Finding::broken(Scenario::NoKey, cause).to_do([
        Remedy::run(
            "see which keys it has (describe shows no values)",
            format!("kubectl -n {namespace} describe secret {name}"),
        ),
        Remedy::say("add the key where the Secret is made"),
        nudge(destination),
    ])
}

fn method(destination: &Destination) -> Finding {
    let named =
        destination.spec.kopia.as_ref().map(|kopia| (kopia.username.is_some(), kopia.hostname.is_some()));
    let (has_user, has_host) = named.unwrap_or_default();
    if has_user == has_host {
        let cause = "the ReplicationDestination needs exactly one method: spec.kopia";
        let remedy = Remedy::say("give it spec.kopia, and no other method");
        return Finding::broken(Scenario::NoMethod, cause).to_do([remedy]);
    }
    let (there, missing) = if has_user { ("username", "hostname") } else { ("hostname", "username") };
    let cause = format!(
        "spec.kopia names a {there} and no {missing}: the operator then takes it for no method at all (its message \
         misleads; only its log says so)"
    );
    let field = format!("spec.kopia.{there}");
    Finding::broken(Scenario::HalfIdentity, cause)
        .with([Evidence::of(destination, &field, format!("set, and spec.kopia.{missing} is not"), None)])
        .to_do([Remedy::say(format!("set spec.kopia.{missing}, too, or take spec.kopia.{there} away"))])
}

fn quota(destination: &Destination) -> Finding {
    let namespace = &destination.metadata.namespace;
    let cause = "a ResourceQuota of the namespace leaves no room for the temporary volume of the restore";
    Finding::broken(Scenario::QuotaClaims, cause).to_do([
        Remedy::run("see the quota", format!("kubectl -n {namespace} describe resourcequota")),
        Remedy::say("raise it: a restore needs the claim, a temporary claim of the same size, and the volume of a snapshot"),
        nudge(destination),
    ])
}

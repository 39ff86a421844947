//! The overlay whose replicas share a store: the store, the access to it, and the number of replicas.

use serde_json::{Value, json};
use url::Url;

use crate::files::{BASE, PLACEHOLDER, SHARED, items, text, text_of};

const DOCS: &str = include_str!("../../docs/replicas.md");
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

fn store() -> Value {
    SHARED.manifest("valkey.yaml")
}

/// The labels of the store's pods.
fn labels() -> Value {
    store()["spec"]["template"]["metadata"]["labels"].clone()
}

/// The words of the line in `users.acl` that begins with this.
fn user(name: &str) -> Vec<String> {
    let secret = SHARED.manifest("valkey-secret.yaml");
    let users = text_of(&secret["stringData"]["users.acl"]).replace(PLACEHOLDER, "stand-in-for-shared-url");
    let line = users.lines().find_map(|line| line.strip_prefix(&format!("user {name} ")));
    line.unwrap().split(' ').map(str::to_owned).collect()
}

/// A setting of `valkey.conf`.
fn setting(name: &str) -> String {
    let settings = text(&SHARED.path().join("valkey.conf"));
    let value = settings.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.unwrap().to_owned()
}

#[test]
fn the_configured_number_of_replicas_is_the_maximum_of_the_autoscaler() {
    let autoscaler = SHARED.manifest("autoscaler.yaml");
    let patches = SHARED.content()["patches"].clone();

    assert_eq!(autoscaler["spec"]["maxReplicas"].as_i64(), SHARED.replicas_in_toml());
    assert!(autoscaler["spec"]["minReplicas"].as_i64() > Some(1));
    let target = &autoscaler["spec"]["scaleTargetRef"];
    let deployment = BASE.manifest("deployment.yaml");
    assert_eq!((&target["kind"], &target["name"]), (&deployment["kind"], &deployment["metadata"]["name"]));
    // A number in the manifest would replace the autoscaler's number with every roll-out.
    assert!(SHARED.content().get("replicas").is_none());
    assert_eq!(patches[0]["target"], json!({ "kind": "Deployment", "name": deployment["metadata"]["name"] }));
    assert_eq!(text_of(&patches[0]["patch"]), "- op: remove\n  path: /spec/replicas");
}

#[test]
fn the_gateway_logs_in_as_the_user_of_the_store() {
    let url = Url::parse(&SHARED.secret("shared-url")).unwrap();
    let service = SHARED.manifest("valkey-service.yaml");

    let user = user(url.username());

    assert_eq!(url.host_str(), service["metadata"]["name"].as_str());
    assert_eq!(json!(url.port()), service["spec"]["ports"][0]["port"]);
    assert_eq!(user[..2], ["on".to_owned(), format!(">{}", url.password().unwrap())]);
}

#[test]
fn only_the_gateways_user_has_rights_and_exactly_the_documented_ones() {
    let listed =
        DOCS.lines().find_map(|line| line.strip_prefix("ACL SETUSER gateway on >PASSWORD ")).unwrap();
    let prefix = SHARED.config().shared.unwrap().prefix;

    assert_eq!(user("gateway")[2..].join(" "), listed);
    assert!(listed.starts_with(&format!("~{prefix}* &{prefix}* +")), "{listed}");
    assert_eq!(user("default"), ["off"]);
}

#[test]
fn every_selector_of_the_store_matches_its_pods() {
    let service = SHARED.manifest("valkey-service.yaml");
    let policy = SHARED.manifest("valkey-network-policy.yaml");
    let from_gateway = SHARED.manifest("network-policy.yaml");
    let to = &from_gateway["spec"]["egress"][0]["to"];

    for selector in [
        &store()["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &policy["spec"]["podSelector"]["matchLabels"],
        &to[0]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(*selector, labels());
    }
    assert_eq!(store()["spec"]["serviceName"], service["metadata"]["name"]);
}

#[test]
fn only_the_gateway_reaches_the_store_and_the_store_connects_to_nothing() {
    let gateway = BASE.manifest("deployment.yaml")["spec"]["selector"]["matchLabels"].clone();
    let policy = SHARED.manifest("valkey-network-policy.yaml")["spec"].clone();
    let from_gateway = SHARED.manifest("network-policy.yaml")["spec"].clone();
    let port = store().pointer(&format!("{CONTAINER}/ports/0")).unwrap().clone();

    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let rule = json!({
        "from": [{ "podSelector": { "matchLabels": gateway } }],
        "ports": [{ "protocol": "TCP", "port": port["name"] }],
    });
    assert_eq!(policy["ingress"], json!([rule]));
    assert_eq!(policy["egress"], json!([]));
    assert_eq!(from_gateway["podSelector"]["matchLabels"], gateway);
    assert_eq!(
        from_gateway["egress"][0]["ports"],
        json!([{ "protocol": "TCP", "port": port["containerPort"] }])
    );
    assert_eq!(items(&from_gateway["egress"]).len(), 1);
    assert_eq!(setting("port"), port["containerPort"].to_string());
}

#[test]
fn the_store_finds_its_settings_and_users() {
    let store = store();
    let mounted_from = |path: &str| {
        let mounts = items(store.pointer(&format!("{CONTAINER}/volumeMounts")).unwrap());
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path)?;
        let volumes = items(store.pointer(&format!("{POD}/volumes")).unwrap());
        volumes.iter().find(|volume| volume["name"] == mount["name"])
    };

    let command = store.pointer(&format!("{CONTAINER}/command")).unwrap();
    let (settings, users) =
        (mounted_from("/etc/valkey").unwrap(), mounted_from("/run/secrets/valkey").unwrap());

    assert_eq!(command, &json!(["valkey-server", "/etc/valkey/valkey.conf"]));
    assert_eq!(settings["configMap"]["name"], SHARED.content()["configMapGenerator"][1]["name"]);
    assert_eq!(users["secret"]["secretName"], SHARED.manifest("valkey-secret.yaml")["metadata"]["name"]);
    assert_eq!(setting("aclfile"), "/run/secrets/valkey/users.acl");
}

#[test]
fn the_store_keeps_to_its_rules() {
    let store = store();
    for pointer in ["/allowPrivilegeEscalation", "/readOnlyRootFilesystem", "/capabilities"] {
        let of =
            |manifest: &Value| manifest.pointer(&format!("{CONTAINER}/securityContext{pointer}")).cloned();
        assert_eq!(of(&store), of(&BASE.manifest("deployment.yaml")), "{pointer}");
    }
    assert_eq!(store.pointer(&format!("{POD}/securityContext/runAsNonRoot")), Some(&json!(true)));
    assert_eq!(store.pointer(&format!("{POD}/automountServiceAccountToken")), Some(&json!(false)));
    assert_eq!(store["spec"]["replicas"], 1, "two would be two truths");
    assert_eq!((setting("save"), setting("appendonly")), ("\"\"".to_owned(), "no".to_owned()));
    assert_eq!(setting("maxmemory-policy"), "noeviction");
    let megabytes = |text: &str, unit: &str| text.strip_suffix(unit).unwrap().parse::<u32>().unwrap();
    let limit = text_of(store.pointer(&format!("{CONTAINER}/resources/limits/memory")).unwrap()).to_owned();
    assert!(megabytes(&limit, "Mi") >= 2 * megabytes(&setting("maxmemory"), "mb"));
}

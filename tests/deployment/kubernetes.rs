//! The Deployment, its mounts and its roll-out.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::files::{
    BASE, CALLER, EXAMPLE, Kustomization, MONITORING, PLACEHOLDER, SECRETS, SECRETS_MODE, SERVICE_ACCOUNTS,
    SHARED, items, text_of,
};

/// Time after the drain, for the last log lines and the exit.
const MARGIN: Duration = Duration::from_secs(5);
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

fn deployment() -> Value {
    BASE.manifest("deployment.yaml")
}

fn at<'a>(manifest: &'a Value, parent: &str, pointer: &str) -> &'a Value {
    manifest.pointer(&format!("{parent}{pointer}")).unwrap_or(&Value::Null)
}

/// The names in a folder that a kustomization should use.
fn names_beside(kustomization: &Kustomization) -> BTreeSet<String> {
    let names = fs::read_dir(kustomization.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name != "kustomization.yaml" && name.contains('.')).collect()
}

#[test]
fn a_kustomization_uses_every_file_beside_it_and_no_other() {
    for kustomization in [BASE, EXAMPLE, SHARED, MONITORING, SERVICE_ACCOUNTS, CALLER] {
        let content = kustomization.content();
        let listed =
            ["/resources", "/components", "/configMapGenerator/0/files", "/configMapGenerator/1/files"];
        let listed = listed.iter().filter_map(|list| content.pointer(list)).flat_map(items);
        let listed = listed.chain(content.pointer("/patches/0/path")).map(text_of);
        let (folders, files): (Vec<_>, Vec<_>) = listed.partition(|name| name.contains('/'));

        let files: BTreeSet<_> = files.into_iter().map(str::to_owned).collect();

        assert_eq!(files, names_beside(&kustomization), "{}", kustomization.folder);
        for folder in folders {
            assert!(kustomization.path().join(folder).join("kustomization.yaml").is_file(), "{folder}");
        }
    }
}

#[test]
fn the_check_accepts_the_configuration_without_a_warning() {
    for kustomization in [BASE, EXAMPLE, SHARED] {
        let config = kustomization.config();

        let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
        if kustomization.folder == SHARED.folder {
            // The example's Valkey has no TLS; config/kubernetes/README.md says how to give it one.
            assert!(matches!(&*warnings, [only] if only.starts_with("shared.url: ")), "{warnings:?}");
        } else {
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }
}

#[test]
fn the_example_secrets_hold_what_the_configuration_reads() {
    for kustomization in [EXAMPLE, SHARED] {
        let secret = kustomization.manifest("secret.yaml");

        let held: BTreeSet<_> = secret["stringData"].as_object().unwrap().keys().cloned().collect();

        assert_eq!(held, kustomization.secret_files().into_iter().collect());
        assert!(!held.is_empty());
    }
}

#[test]
fn configuration_and_secrets_are_mounted_where_they_are_read() {
    let deployment = deployment();
    let mounted_from = |path: &str| {
        let mounts = items(at(&deployment, CONTAINER, "/volumeMounts"));
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path)?;
        items(at(&deployment, POD, "/volumes")).iter().find(|volume| volume["name"] == mount["name"])
    };

    let arguments = at(&deployment, CONTAINER, "/args");
    let configuration = mounted_from("/etc/balance-gateway").unwrap();
    let secrets = mounted_from(SECRETS.trim_end_matches('/')).unwrap();

    assert_eq!(arguments, &json!(["serve", "--config", "/etc/balance-gateway/gateway.toml"]));
    for kustomization in [BASE, EXAMPLE, SHARED] {
        assert_eq!(
            configuration["configMap"]["name"],
            kustomization.content()["configMapGenerator"][0]["name"]
        );
    }
    for kustomization in [EXAMPLE, SHARED] {
        assert_eq!(
            secrets["secret"]["secretName"],
            kustomization.manifest("secret.yaml")["metadata"]["name"]
        );
    }
    assert_eq!(secrets["secret"]["defaultMode"], SECRETS_MODE);
    assert_eq!(items(at(&deployment, CONTAINER, "/volumeMounts")).len(), 2);
    assert_eq!(items(at(&deployment, POD, "/volumes")).len(), 2);
}

#[test]
fn a_changed_file_arrives_without_a_restart() {
    for kustomization in [BASE, EXAMPLE, SHARED] {
        assert_eq!(kustomization.content()["generatorOptions"]["disableNameSuffixHash"], true);
    }
    for mount in items(at(&deployment(), CONTAINER, "/volumeMounts")) {
        assert!(mount.get("subPath").is_none(), "{mount}");
    }
}

#[test]
fn a_pod_may_live_as_long_as_its_drain_takes() {
    let grace = at(&deployment(), POD, "/terminationGracePeriodSeconds").as_u64().unwrap();

    for kustomization in [BASE, EXAMPLE, SHARED] {
        let server = kustomization.config().server;
        assert!(Duration::from_secs(grace) >= server.drain_delay + server.drain_timeout + MARGIN);
    }
}

#[test]
fn the_number_of_instances_is_the_configured_number_of_replicas() {
    let replicas = &EXAMPLE.content()["replicas"][0];

    assert_eq!(deployment()["spec"]["replicas"].as_i64(), BASE.replicas_in_toml());
    assert_eq!(replicas["name"], deployment()["metadata"]["name"]);
    assert_eq!(replicas["count"].as_i64(), EXAMPLE.replicas_in_toml());
    assert!(BASE.replicas_in_toml() > Some(1));
}

#[test]
fn the_deployment_keeps_to_its_rules() {
    let deployment = deployment();
    for (parent, pointer, expected) in [
        ("/spec", "/strategy/rollingUpdate", json!({ "maxSurge": 0, "maxUnavailable": 1 })),
        (POD, "/automountServiceAccountToken", json!(false)),
        (POD, "/securityContext/runAsNonRoot", json!(true)),
        (POD, "/securityContext/runAsUser", json!(65532)),
        (POD, "/securityContext/fsGroup", json!(65532)),
        (POD, "/securityContext/seccompProfile", json!({ "type": "RuntimeDefault" })),
        (CONTAINER, "/securityContext/allowPrivilegeEscalation", json!(false)),
        (CONTAINER, "/securityContext/readOnlyRootFilesystem", json!(true)),
        (CONTAINER, "/securityContext/capabilities", json!({ "drop": ["ALL"] })),
        (CONTAINER, "/readinessProbe/httpGet", json!({ "path": "/readyz", "port": "ops" })),
        (CONTAINER, "/livenessProbe/httpGet", json!({ "path": "/livez", "port": "ops" })),
        (CONTAINER, "/resources/requests/memory", json!("64Mi")),
        (CONTAINER, "/resources/limits", json!({ "memory": "512Mi" })),
    ] {
        assert_eq!(at(&deployment, parent, pointer), &expected, "{parent}{pointer}");
    }
}

#[test]
fn the_pod_runs_as_the_user_of_the_image() {
    let dockerfile = include_str!("../../Dockerfile");
    let security = at(&deployment(), POD, "/securityContext").clone();

    assert!(dockerfile.contains(&format!("\nUSER {}:{}\n", security["runAsUser"], security["runAsGroup"])));
}

/// The gateway refuses a secret that was never replaced, so it is never sent.
#[test]
fn a_placeholder_is_refused_as_a_secret() {
    for (overlay, path) in
        [(&EXAMPLE, "secret.yaml"), (&EXAMPLE, "report-secret.yaml"), (&SHARED, "secret.yaml")]
    {
        let secret = overlay.manifest(path);
        let Value::Object(placeholders) = &secret["stringData"] else { panic!("{path}") };

        assert!(!placeholders.is_empty(), "{path}");
        for (name, placeholder) in placeholders {
            assert!(text_of(placeholder).contains(PLACEHOLDER), "{path}: {name}");
        }
    }
}

#[test]
fn names_are_resolved_without_a_suffix_and_listeners_accept_ipv4_and_ipv6() {
    let options = items(&deployment()["spec"]["template"]["spec"]["dnsConfig"]["options"]).to_vec();
    assert_eq!((text_of(&options[0]["name"]), text_of(&options[0]["value"])), ("ndots", "2"));

    for path in ["base", "overlays/example", "overlays/shared"] {
        let text = std::fs::read_to_string(format!("config/kubernetes/{path}/gateway.toml")).unwrap();
        assert!(text.contains("\napi = \"[::]:8080\"\nops = \"[::]:9090\"\n"), "{path}");
    }
}

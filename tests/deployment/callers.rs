//! Callers with service accounts: the gateway's access to the issuer's keys, and the caller's token.

use serde_json::json;

use crate::files::{BASE, CALLER, EXAMPLE, SERVICE_ACCOUNTS, items, text_of};

#[test]
fn the_gateway_may_read_the_issuers_keys_and_nothing_else() {
    let binding = SERVICE_ACCOUNTS.manifest("issuer-keys.yaml");
    let account = BASE.manifest("service-account.yaml");

    assert_eq!(binding["roleRef"]["kind"], "ClusterRole");
    assert_eq!(binding["roleRef"]["name"], "system:service-account-issuer-discovery");
    let subject = json!({
        "kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": EXAMPLE.content()["namespace"],
    });
    assert_eq!(binding["subjects"], json!([subject]));
}

#[test]
fn the_gateway_reaches_the_api_server_at_the_port_of_its_service_and_at_its_own() {
    let policy = SERVICE_ACCOUNTS.manifest("network-policy.yaml");
    let labels = BASE.manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"].clone();

    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Egress"]));
    let ports = items(&policy["spec"]["egress"][0]["ports"]).iter().map(|port| &port["port"]);
    assert_eq!(ports.collect::<Vec<_>>(), [443, 6443]);
    let base = BASE.manifest("network-policy.yaml");
    assert_eq!(
        policy["spec"]["egress"][0]["to"], base["spec"]["egress"][1]["to"],
        "the metadata service stays excluded"
    );
}

#[test]
fn the_patch_names_the_deployment_and_its_container() {
    let (patch, deployment) =
        (SERVICE_ACCOUNTS.manifest("deployment.yaml"), BASE.manifest("deployment.yaml"));
    let container = "/spec/template/spec/containers/0/name";

    assert_eq!(patch["metadata"]["name"], deployment["metadata"]["name"]);
    assert_eq!(patch.pointer(container), deployment.pointer(container));
    let volume = &patch["spec"]["template"]["spec"]["volumes"][0]["projected"];
    assert_eq!(volume["defaultMode"], 0o440);
    // The API server would refuse a token with an audience.
    assert!(volume["sources"][0]["serviceAccountToken"].get("audience").is_none());
}

#[test]
fn the_caller_is_the_one_that_the_configuration_names() {
    let configuration: toml::Table = EXAMPLE.toml().parse().unwrap();
    let job = CALLER.manifest("job.yaml")["spec"]["template"]["spec"].clone();
    let token = &job["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    let (namespace, account) = (CALLER.content()["namespace"].clone(), job["serviceAccountName"].clone());

    let service_account = configuration["callers"]["checkout"]["service_account"].as_str().unwrap();
    let audience = configuration["auth"]["kubernetes"]["audience"].as_str().unwrap();

    assert_eq!(service_account, format!("{}/{}", text_of(&namespace), text_of(&account)));
    assert_eq!(token["audience"], audience);
    assert_eq!(CALLER.manifest("service-account.yaml")["metadata"]["name"], account);
    assert_eq!(CALLER.manifest("namespace.yaml")["metadata"]["name"], namespace);
}

#[test]
fn the_caller_reads_the_mounted_token_and_is_admitted_at_the_service() {
    let job = CALLER.manifest("job.yaml")["spec"]["template"]["spec"].clone();
    let container = &job["containers"][0];
    let mount = &container["volumeMounts"][0];
    let path = &job["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["path"];
    let service = BASE.manifest("service.yaml");

    let command = text_of(&container["command"][2]);

    assert!(
        command.contains(&format!("$(cat {}/{})", text_of(&mount["mountPath"]), text_of(path))),
        "{command}"
    );
    let address = format!(
        "http://{}.{}:{}/v1/",
        text_of(&service["metadata"]["name"]),
        text_of(&EXAMPLE.content()["namespace"]),
        service["spec"]["ports"][0]["port"]
    );
    assert!(command.contains(&address), "{command}");
    let admitted = BASE.manifest("network-policy.yaml")["spec"]["ingress"][0]["from"][0].clone();
    let labels = CALLER.manifest("namespace.yaml")["metadata"]["labels"].clone();
    for (name, value) in admitted["namespaceSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&labels[name], value);
    }
}

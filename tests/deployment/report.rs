//! The `CronJob` that writes the report of the day.

use serde_json::{Value, json};
use url::Url;

use crate::files::{BASE, EXAMPLE, items, text_of};

const JOB: &str = "/spec/jobTemplate/spec";
const POD: &str = "/spec/jobTemplate/spec/template/spec";

fn report(pointer: &str) -> Value {
    let report = EXAMPLE.manifest("report.yaml");
    report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).clone()
}

#[test]
fn the_report_calls_the_service_and_writes_into_its_volume() {
    let service = BASE.manifest("service.yaml");
    let container = report(&format!("{POD}/containers/0"));

    let arguments: Vec<_> = items(&container["args"]).iter().map(text_of).collect();

    let [command, "--url", url, "--output", path] = arguments[..] else { panic!("{arguments:?}") };
    let url = Url::parse(url).unwrap();
    assert_eq!(command, "report");
    assert_eq!(url.host_str(), service["metadata"]["name"].as_str());
    assert_eq!(json!(url.port()), service["spec"]["ports"][0]["port"]);
    assert_eq!(container["volumeMounts"][0]["mountPath"], path);
    let volume = report(&format!("{POD}/volumes/0"));
    assert_eq!(container["volumeMounts"][0]["name"], volume["name"]);
    let claim = EXAMPLE.manifest("report-volume.yaml");
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
}

#[test]
fn the_key_of_the_report_belongs_to_a_caller_that_may_read_every_account() {
    let key = report(&format!("{POD}/containers/0/env/0"));
    let secret = EXAMPLE.manifest("report-secret.yaml");
    let configuration: toml::Table = EXAMPLE.toml().parse().unwrap();

    let reference = &key["valueFrom"]["secretKeyRef"];

    assert_eq!(key["name"], "BALANCE_GATEWAY_KEY");
    assert_eq!(reference["name"], secret["metadata"]["name"]);
    assert!(secret["stringData"].get(text_of(&reference["key"])).is_some());
    assert_eq!(configuration["callers"]["report"]["accounts"], toml::Value::from(vec!["*"]));
}

#[test]
fn the_gateway_admits_the_report() {
    let policy = EXAMPLE.manifest("report-network-policy.yaml")["spec"].clone();
    let gateway = BASE.manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"].clone();
    let labels = report(&format!("{JOB}/template/metadata/labels"));

    assert_eq!(policy["podSelector"]["matchLabels"], gateway);
    let rule = json!({
        "from": [{ "podSelector": { "matchLabels": labels } }],
        "ports": [{ "protocol": "TCP", "port": "api" }],
    });
    assert_eq!(policy["ingress"], json!([rule]));
    assert_ne!(labels, gateway, "the report's pods are not behind the Service");
}

#[test]
fn the_report_ends_before_its_day_does() {
    let schedule = report("/spec/schedule");
    let mut words = text_of(&schedule).split(' ');
    let minute: u64 = words.next().unwrap().parse().unwrap();
    let deadline = report(&format!("{JOB}/activeDeadlineSeconds")).as_u64().unwrap();

    assert_eq!(words.next(), Some("23"));
    assert_eq!(report("/spec/timeZone"), "Etc/UTC");
    assert!(minute * 60 + deadline < 3600);
}

#[test]
fn the_report_keeps_to_the_rules_of_the_deployment() {
    let deployment = BASE.manifest("deployment.yaml");
    for (ours, theirs) in [
        ("/securityContext", "/spec/template/spec/securityContext"),
        ("/automountServiceAccountToken", "/spec/template/spec/automountServiceAccountToken"),
        ("/containers/0/securityContext", "/spec/template/spec/containers/0/securityContext"),
        ("/containers/0/image", "/spec/template/spec/containers/0/image"),
    ] {
        assert_eq!(Some(&report(&format!("{POD}{ours}"))), deployment.pointer(theirs), "{ours}");
    }
}

//! Ports, selectors and network policies.

use serde_json::{Value, json};

use crate::files::{BASE, EXAMPLE, MONITORING, SHARED, items, text_of};

fn pod_labels() -> Value {
    BASE.manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"].clone()
}

fn port(name: &str) -> Value {
    let deployment = BASE.manifest("deployment.yaml");
    let ports = items(&deployment["spec"]["template"]["spec"]["containers"][0]["ports"]).to_vec();
    let port = ports.into_iter().find(|port| port["name"] == name);
    port.map_or(Value::Null, |port| port["containerPort"].clone())
}

#[test]
fn the_ports_are_the_gateways_own_on_every_interface() {
    for kustomization in [BASE, EXAMPLE, SHARED] {
        let server = kustomization.config().server;

        assert_eq!((port("api"), port("ops")), (json!(server.api.port()), json!(server.ops.port())));
        assert!(server.api.ip().is_unspecified() && server.ops.ip().is_unspecified());
    }
}

#[test]
fn every_selector_matches_the_labels_of_the_pods() {
    let (base, monitoring) = (|name| BASE.manifest(name), |name| MONITORING.manifest(name));
    let deployment = base("deployment.yaml");

    let mut selectors = vec![
        deployment["spec"]["selector"]["matchLabels"].clone(),
        base("service.yaml")["spec"]["selector"].clone(),
        base("pod-disruption-budget.yaml")["spec"]["selector"]["matchLabels"].clone(),
        base("network-policy.yaml")["spec"]["podSelector"]["matchLabels"].clone(),
        monitoring("pod-monitor.yaml")["spec"]["selector"]["matchLabels"].clone(),
    ];
    let spread = items(&deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]);
    selectors.extend(spread.iter().map(|constraint| constraint["labelSelector"]["matchLabels"].clone()));

    assert_eq!(selectors.len(), 7);
    assert!(selectors.iter().all(|selector| *selector == pod_labels()), "{selectors:?}");
}

#[test]
fn the_deployment_uses_the_service_account() {
    let account = BASE.manifest("service-account.yaml");
    let deployment = BASE.manifest("deployment.yaml");

    assert_eq!(account["metadata"]["name"], deployment["spec"]["template"]["spec"]["serviceAccountName"]);
    assert_eq!(account["automountServiceAccountToken"], false);
}

#[test]
fn the_service_is_for_callers_only() {
    let service = BASE.manifest("service.yaml");

    assert_eq!(items(&service["spec"]["ports"]).len(), 1);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "api");
}

#[test]
fn callers_reach_the_api_port_and_prometheus_alone_the_ops_port() {
    let policy = BASE.manifest("network-policy.yaml");
    let rules = items(&policy["spec"]["ingress"]);
    let admitted = |name: &str| {
        let rules = rules.iter().filter(|rule| rule["ports"] == json!([{ "protocol": "TCP", "port": name }]));
        rules.flat_map(|rule| items(&rule["from"])).cloned().collect::<Vec<_>>()
    };

    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(rules.len(), 2);
    assert_eq!(admitted("api").len(), 1);
    let [prometheus] = &admitted("ops")[..] else { panic!("{:?}", admitted("ops")) };
    assert_eq!(prometheus["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "prometheus");
    assert!(prometheus["namespaceSelector"]["matchLabels"].is_object());
}

#[test]
fn only_dns_and_https_are_allowed_out() {
    let policy = BASE.manifest("network-policy.yaml");

    let rules = items(&policy["spec"]["egress"]);

    let ports: Vec<_> =
        rules.iter().flat_map(|rule| items(&rule["ports"])).map(|port| &port["port"]).collect();
    assert_eq!(ports, [53, 53, 443]);
    assert!(rules.iter().all(|rule| !items(&rule["to"]).is_empty()));
}

#[test]
fn prometheus_scrapes_the_ops_port_under_the_job_that_the_rules_name() {
    let monitor = MONITORING.manifest("pod-monitor.yaml");
    let job_label = text_of(&monitor["spec"]["jobLabel"]).to_owned();
    let job = text_of(&pod_labels()[&job_label]).to_owned();

    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "ops");
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["path"], "/metrics");
    let alerts = include_str!("../../config/prometheus/alerts.yml");
    assert!(alerts.contains("up{job="));
    assert_eq!(alerts.matches("up{job=").count(), alerts.matches(&format!("up{{job=\"{job}\"}}")).count());
    assert!(include_str!("../../config/prometheus/prometheus.yml").contains(&format!("job_name: {job}\n")));
}

//! The Prometheus rules: the same in Kubernetes, and each alert in the runbook.

use std::path::Path;

use serde_json::Value;

use crate::files::{MONITORING, items, text_of, yaml};

const RUNBOOK: &str = include_str!("../../config/prometheus/runbook.md");
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

fn groups(file: &str) -> Vec<Value> {
    items(&yaml(&Path::new("config/prometheus").join(file))["groups"]).to_vec()
}

fn alerts() -> Vec<Value> {
    groups("alerts.yml").iter().flat_map(|group| items(&group["rules"]).to_vec()).collect()
}

#[test]
fn kubernetes_gets_the_same_rules() {
    let rule = MONITORING.manifest("prometheus-rule.yaml");

    let written = items(&rule["spec"]["groups"]);

    let expected = [groups("recording.yml"), groups("alerts.yml")].concat();
    assert!(*written == expected, "run config/kubernetes/monitoring/generate-prometheus-rule");
}

#[test]
fn every_alert_says_what_it_means_and_how_bad_it_is() {
    for alert in alerts() {
        let name = text_of(&alert["alert"]);

        assert!(SEVERITIES.contains(&text_of(&alert["labels"]["severity"])), "{name}");
        for text in ["summary", "description"] {
            assert!(text_of(&alert["annotations"][text]).ends_with('.'), "{name}: {text}");
        }
        assert_eq!(text_of(&alert["annotations"]["runbook"]), format!("runbook.md#{}", name.to_lowercase()));
    }
}

#[test]
fn alerts_about_money_belong_to_the_treasury_and_no_others() {
    for alert in alerts() {
        let name = text_of(&alert["alert"]);
        let is_about_money = !name.starts_with("BalanceGateway");

        assert_eq!(alert["labels"].get("team").is_some(), is_about_money, "{name}");
        assert!(!is_about_money || alert["labels"]["team"] == "treasury", "{name}");
    }
}

#[test]
fn the_runbook_has_a_section_for_each_alert_in_order() {
    let alerts = alerts();
    let alerts: Vec<_> = alerts.iter().map(|alert| text_of(&alert["alert"])).collect();

    let sections: Vec<_> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("### ")).collect();

    assert_eq!(sections, alerts);
}

#[test]
fn every_alert_has_a_test_in_which_it_fires() {
    let cases = include_str!("../../config/prometheus/alerts.test.yml");

    for alert in alerts() {
        let name = text_of(&alert["alert"]);
        assert!(cases.contains(&format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"")), "{name}");
    }
}

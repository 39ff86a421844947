//! Every file that a configuration names is mounted in the pod.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::files::{BASE, EXAMPLE, Kustomization, SHARED, items, text_of, yaml};

/// The keys whose texts are paths of files.
const PATHS: [&str; 6] = ["file", "ca", "certificate", "private_key", "client_ca", "extra_ca"];

/// The absolute paths in a configuration.
fn named(value: &toml::Value) -> BTreeSet<String> {
    match value {
        toml::Value::Table(table) => table
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(path) if PATHS.contains(&key.as_str()) => BTreeSet::from([path.to_owned()]),
                _ => named(value),
            })
            .collect(),
        toml::Value::Array(values) => values.iter().flat_map(named).collect(),
        _ => BTreeSet::new(),
    }
}

/// The Deployment of the base, and the patches of it in the components of an overlay.
fn deployments(overlay: &Kustomization) -> Vec<Value> {
    let mut found = vec![BASE.manifest("deployment.yaml")];
    let content = overlay.content();
    for component in content.get("components").map(items).unwrap_or_default() {
        let folder = overlay.path().join(text_of(component));
        let component = yaml(&folder.join("kustomization.yaml"));
        let patches = component.get("patches").map(items).unwrap_or_default();
        found.extend(patches.iter().map(|patch| yaml(&folder.join(text_of(&patch["path"])))));
    }
    found
}

/// The files of a volume; `None` where the overlay does not know them.
fn files(volume: &Value, overlay: &Kustomization) -> Option<BTreeSet<String>> {
    let content = overlay.content();
    if let Some(map) = volume.get("configMap") {
        let generator =
            items(&content["configMapGenerator"]).iter().find(|generator| generator["name"] == map["name"]);
        return Some(items(&generator?["files"]).iter().map(|file| text_of(file).to_owned()).collect());
    }
    if let Some(secret) = volume.get("secret") {
        let manifests =
            content["resources"].as_array()?.iter().map(text_of).filter(|name| !name.contains('/'));
        let mut manifests = manifests.map(|name| overlay.manifest(name));
        let manifest = manifests.find(|manifest| {
            manifest["kind"] == "Secret" && manifest["metadata"]["name"] == secret["secretName"]
        });
        return Some(manifest?["stringData"].as_object()?.keys().cloned().collect());
    }
    let sources = items(&volume["projected"]["sources"]).iter();
    let files = sources.flat_map(|source| match source.get("serviceAccountToken") {
        Some(token) => vec![text_of(&token["path"]).to_owned()],
        None => items(&source["configMap"]["items"])
            .iter()
            .map(|item| text_of(&item["path"]).to_owned())
            .collect(),
    });
    Some(files.collect())
}

/// The paths of all files in the gateway's pod, and the directories whose files the overlay does not know.
fn mounted(overlay: &Kustomization) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let (mut paths, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for deployment in deployments(overlay) {
        let pod = &deployment["spec"]["template"]["spec"];
        for mount in items(&pod["containers"][0]["volumeMounts"]) {
            let volume = items(&pod["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
            let folder = PathBuf::from(text_of(&mount["mountPath"]));
            match files(volume.unwrap(), overlay) {
                Some(files) => paths.extend(files.into_iter().map(|file| folder.join(file))),
                None => {
                    unknown.insert(folder);
                }
            }
        }
    }
    (paths, unknown)
}

#[test]
fn every_file_that_a_configuration_names_is_mounted() {
    for overlay in [BASE, EXAMPLE, SHARED] {
        let (paths, unknown) = mounted(&overlay);

        let named = named(&overlay.toml().parse::<toml::Table>().unwrap().into());

        assert!(!named.is_empty());
        for path in named.into_iter().map(PathBuf::from) {
            let is_there = paths.contains(&path) || unknown.contains(path.parent().unwrap());
            assert!(is_there, "{}: {} is not among {paths:?}", overlay.folder, path.display());
        }
        // Only the base lacks its Secret.
        assert_eq!(unknown.is_empty(), overlay.folder != BASE.folder, "{}: {unknown:?}", overlay.folder);
    }
}

//! Reads the files that the tests compare.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use balance_gateway::config::{self, Config};
use serde_json::Value;

/// The mount path of the Secret.
pub(crate) const SECRETS: &str = "/var/run/secrets/balance-gateway/";
/// The mount path of the gateway's own token and the cluster's CA.
pub(crate) const KUBERNETES: &str = "/var/run/secrets/kubernetes.io/serviceaccount/";
/// Its files are readable by the owner and the gateway's group.
pub(crate) const SECRETS_MODE: u32 = 0o440;

/// A folder with a `kustomization.yaml`.
pub(crate) struct Kustomization {
    /// Its path below `config/kubernetes`.
    pub(crate) folder: &'static str,
}

/// The base: all objects but the Secret.
pub(crate) const BASE: Kustomization = Kustomization { folder: "base" };
/// The overlay to copy.
pub(crate) const EXAMPLE: Kustomization = Kustomization { folder: "overlays/example" };
/// The overlay to copy for replicas that share a store.
pub(crate) const SHARED: Kustomization = Kustomization { folder: "overlays/shared" };
/// The component for callers with service accounts.
pub(crate) const SERVICE_ACCOUNTS: Kustomization = Kustomization { folder: "service-accounts" };
/// A caller with a service account.
pub(crate) const CALLER: Kustomization = Kustomization { folder: "overlays/caller" };
/// The component for the Prometheus operator.
pub(crate) const MONITORING: Kustomization = Kustomization { folder: "monitoring" };

impl Kustomization {
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("config/kubernetes").join(self.folder)
    }

    /// A file of one YAML document.
    pub(crate) fn manifest(&self, name: &str) -> Value {
        yaml(&self.path().join(name))
    }

    /// The content of `kustomization.yaml`.
    pub(crate) fn content(&self) -> Value {
        self.manifest("kustomization.yaml")
    }

    /// The text of `gateway.toml` in this folder.
    pub(crate) fn toml(&self) -> String {
        text(&self.path().join("gateway.toml"))
    }

    /// The names of the secret files that the configuration names.
    pub(crate) fn secret_files(&self) -> Vec<String> {
        let toml = self.toml();
        let files = toml.split(SECRETS).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        files.collect()
    }

    /// The value in the Secret under this name. The base has no Secret, so its values are made up.
    pub(crate) fn secret(&self, name: &str) -> String {
        if !self.path().join("secret.yaml").exists() {
            return name.to_owned();
        }
        let written = self.manifest("secret.yaml")["stringData"][name].clone();
        if name == "shared-key" {
            return STAND_IN_KEY.to_owned();
        }
        text_of(&written).replace(PLACEHOLDER, &format!("stand-in-for-{name}"))
    }

    /// The configuration as the gateway reads it, with its secrets in files.
    pub(crate) fn config(&self) -> Config {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = format!("secrets-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        for name in self.secret_files() {
            fs::write(folder.join(&name), self.secret(&name)).unwrap();
            fs::set_permissions(folder.join(&name), Permissions::from_mode(SECRETS_MODE)).unwrap();
        }
        let authority = rcgen::generate_simple_self_signed(["kubernetes.default.svc".to_owned()]).unwrap();
        fs::write(folder.join("ca.crt"), authority.cert.pem()).unwrap();
        fs::write(folder.join("token"), "header.claims.signature").unwrap();
        fs::set_permissions(folder.join("token"), Permissions::from_mode(SECRETS_MODE)).unwrap();
        let here = format!("{}/", folder.display());
        let toml = self.toml().replace(SECRETS, &here).replace(KUBERNETES, &here);
        let config = config::parse(&toml, &self.path(), &|_| None);
        fs::remove_dir_all(folder).unwrap();
        config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// The value of `server.replicas`.
    pub(crate) fn replicas_in_toml(&self) -> Option<i64> {
        let config: toml::Table = self.toml().parse().unwrap();
        config["server"].get("replicas")?.as_integer()
    }
}

/// The placeholder of each secret in the examples; the gateway refuses it.
pub(crate) const PLACEHOLDER: &str = "<replace me>";
/// 32 bytes in base64, as `shared.key` requires.
const STAND_IN_KEY: &str = "c3RhbmQtaW4tZm9yLTMyLXJhbmRvbS1ieXRlcy0tLS0=";

/// A file as text.
#[track_caller]
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of one YAML document.
#[track_caller]
pub(crate) fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The items of a list.
#[track_caller]
pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}"))
}

/// A text.
#[track_caller]
pub(crate) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

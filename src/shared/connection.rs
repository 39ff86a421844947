//! Connections to the store: one for commands, one for messages.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, PubSub};
use redis::cluster::ClusterClientBuilder;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisFuture,
    RedisResult, Script, ScriptInvocation, TlsCertificates, TlsMode, Value,
};
use secrecy::ExposeSecret;

use super::settings::SharedSettings;
use super::url::{StoreUrl, Topology};
use crate::domain::StoreTime;

/// The time-out to connect. It may be longer than the time-out of an operation, because no request waits for it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Both connections.
pub(super) struct Connected {
    pub(super) commands: Commands,
    pub(super) events: PubSub,
}

/// The connection for commands: to one node, or to every node of a cluster.
#[derive(Clone)]
pub struct Commands(Arc<dyn RunsCommands>);

/// Hides which kind of connection runs the commands.
trait RunsCommands: Send + Sync {
    fn run<'a>(&'a self, call: &'a ScriptInvocation<'a>) -> RedisFuture<'a, Value>;
    fn query<'a>(&'a self, command: &'a Cmd) -> RedisFuture<'a, Value>;
}

impl<C: ConnectionLike + Clone + Send + Sync> RunsCommands for C {
    fn run<'a>(&'a self, call: &'a ScriptInvocation<'a>) -> RedisFuture<'a, Value> {
        let mut connection = self.clone();
        Box::pin(async move { call.invoke_async(&mut connection).await })
    }

    fn query<'a>(&'a self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let mut connection = self.clone();
        Box::pin(async move { command.query_async(&mut connection).await })
    }
}

impl Commands {
    /// Commands over a connection, to servers or to a store in memory.
    pub fn over(connection: impl ConnectionLike + Clone + Send + Sync + 'static) -> Self {
        Self(Arc::new(connection))
    }

    /// Runs a script, and loads it where the store does not know it.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[Vec<u8>],
    ) -> RedisResult<Value> {
        let mut call = script.prepare_invoke();
        call.key(keys).arg(arguments);
        self.0.run(&call).await
    }

    /// Runs one command.
    pub(super) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        self.0.query(command).await
    }

    /// Reads the store's clock.
    pub(super) async fn time(&self) -> RedisResult<StoreTime> {
        let (seconds, micros): (u64, u64) = redis::from_redis_value(self.query(&redis::cmd("TIME")).await?)?;
        Ok(StoreTime::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros)))
    }

    /// Pings the store.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        self.query(&redis::cmd("PING")).await.map(drop)
    }
}

/// Connects to the store's present master: after a fail-over it is another node.
pub(super) async fn connect(settings: &SharedSettings) -> RedisResult<Connected> {
    let url = &settings.url;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let client = match &url.topology {
        Topology::Node | Topology::Cluster => client(settings, first(url)?)?,
        Topology::Sentinel(master) => find_master(settings, master).await?,
    };
    let commands = if url.topology == Topology::Cluster {
        Commands::over(cluster(settings)?.get_async_connection().await?)
    } else {
        Commands::over(client.get_multiplexed_async_connection_with_config(&config).await?)
    };
    Ok(Connected { commands, events: events(settings, client).await? })
}

/// The connection for messages; in a cluster, any node delivers the messages of all nodes.
async fn events(settings: &SharedSettings, client: Client) -> RedisResult<PubSub> {
    let mut events = client.get_async_pubsub().await;
    if settings.url.topology == Topology::Cluster {
        for host in settings.url.hosts.iter().skip(1) {
            if events.is_ok() {
                break;
            }
            events = self::client(settings, address(&settings.url, host))?.get_async_pubsub().await;
        }
    }
    events
}

fn first(url: &StoreUrl) -> RedisResult<ConnectionAddr> {
    let host = url.hosts.first().ok_or((redis::ErrorKind::InvalidClientConfig, "no host"))?;
    Ok(address(url, host))
}

fn address(url: &StoreUrl, (host, port): &(String, u16)) -> ConnectionAddr {
    if url.is_tls {
        ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    }
}

fn login(url: &StoreUrl) -> RedisConnectionInfo {
    let login = RedisConnectionInfo::default().set_db(i64::from(url.database)).set_skip_set_lib_name();
    let login = match &url.user {
        Some(user) => login.set_username(user),
        None => login,
    };
    match &url.password {
        Some(password) => login.set_password(password.expose_secret()),
        None => login,
    }
}

fn certificates(settings: &SharedSettings) -> TlsCertificates {
    let root_cert = settings.ca.clone();
    TlsCertificates { client_tls: None, root_cert }
}

fn client(settings: &SharedSettings, address: ConnectionAddr) -> RedisResult<Client> {
    let info = address.into_connection_info()?.set_redis_settings(login(&settings.url));
    if settings.url.is_tls {
        Client::build_with_tls(info, certificates(settings))
    } else {
        Client::open(info)
    }
}

fn cluster(settings: &SharedSettings) -> RedisResult<redis::cluster::ClusterClient> {
    let url = &settings.url;
    let nodes = url.hosts.iter().map(|host| address(url, host).into_connection_info());
    let nodes: Vec<_> = nodes.collect::<RedisResult<_>>()?;
    let nodes = nodes.into_iter().map(|node| node.set_redis_settings(login(url)));
    let builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(CONNECT_TIMEOUT)
        .retries(1);
    if url.is_tls {
        builder.tls(TlsMode::Secure).certs(certificates(settings)).build()
    } else {
        builder.build()
    }
}

/// Asks the sentinels for the address of the master, with the login of the URL. Sentinels without a password refuse a
/// login; they are asked again without it.
async fn find_master(settings: &SharedSettings, master: &str) -> RedisResult<Client> {
    let found = ask_sentinels(settings, master, true).await;
    if found.is_ok() || !settings.url.has_password() {
        return found;
    }
    match ask_sentinels(settings, master, false).await {
        // The sentinels require a password: the first error says why they refuse ours.
        Err(error) if error.code() == Some("NOAUTH") => found,
        asked => asked,
    }
}

async fn ask_sentinels(settings: &SharedSettings, master: &str, with_login: bool) -> RedisResult<Client> {
    let url = &settings.url;
    let sentinels = url.hosts.iter().map(|host| address(url, host));
    let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?;
    if let Some(user) = &url.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &url.password {
        builder = builder.set_client_to_redis_password(password.expose_secret());
    }
    if with_login {
        if let Some(user) = &url.user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &url.password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
    }
    if url.is_tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates(settings))
            .set_client_to_sentinel_certificates(certificates(settings));
    }
    builder.build()?.async_get_client().await
}

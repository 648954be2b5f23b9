//! The central system: what it answers a charging station, and how it asks one. The names are those of OCPP 1.6.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use zinx::green::RLock;
use zinx::prelude::*;
use zinx::znet::{WsRefusal, WsRequest};

use crate::message::{self, OcppMessage};

/// The id under which texts come and leave (`WsTextMsgId`).
pub(crate) const TEXT: u32 = 1;

/// Where stations connect: their name follows.
const PATH: &str = "/ocpp/";

/// How often stations send a heartbeat, in seconds.
const HEARTBEAT: u64 = 300;

/// What is known of a station.
#[derive(Clone, Default)]
pub(crate) struct Station {
    pub(crate) model: String,
    pub(crate) status: String,
    pub(crate) meter: String,
    pub(crate) transaction: u64,
    pub(crate) meter_values: u64,
    pub(crate) configuration_keys: usize,
}

pub(crate) struct Central {
    patience: Duration,
    stations: Mutex<BTreeMap<String, Station>>,
    connections: Mutex<HashMap<String, Arc<dyn IConnection>>>,
    /// Who connects from where, between the request and the connection.
    expected: Mutex<HashMap<SocketAddr, String>>,
    /// One question at a time per station, as the specification demands.
    turns: Mutex<HashMap<String, Arc<RLock>>>,
    next_call: AtomicU64,
    next_transaction: AtomicU64,
}

impl Central {
    /// `patience`: how long a station may take to answer.
    pub(crate) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            patience,
            stations: Mutex::default(),
            connections: Mutex::default(),
            expected: Mutex::default(),
            turns: Mutex::default(),
            next_call: AtomicU64::new(1),
            next_transaction: AtomicU64::new(1),
        })
    }

    /// Judges a request: the path names the station.
    pub(crate) fn admit(&self, request: &WsRequest<'_>) -> std::result::Result<(), WsRefusal> {
        let name = request.path().strip_prefix(PATH).unwrap_or_default();
        let is_name = !name.is_empty()
            && name.len() <= 48
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name {
            return Err(WsRefusal::new(404, "a path is /ocpp/ and the name of a station"));
        }
        lock(&self.expected).insert(request.peer_addr(), name.to_string());
        Ok(())
    }

    /// A station has connected. An older connection of it ends: it may not have noticed its loss.
    pub(crate) fn begin(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        let name = lock(&self.expected).remove(&conn.get_remote_addr()).ok_or(Error::ConnectionClosed)?;
        conn.login(&name, OnDuplicate::KickOld)?;
        lock(&self.connections).insert(name.clone(), Arc::clone(conn));
        lock(&self.stations).entry(name).or_default().status = "connected".to_string();
        Ok(())
    }

    pub(crate) fn end(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        let Some(name) = conn.get_user() else { return Ok(()) };
        let mut connections = lock(&self.connections);
        // A newer one may have taken its place.
        if connections.get(&*name).is_some_and(|other| other.get_conn_id() == conn.get_conn_id()) {
            connections.remove(&*name);
            self.change(&name, |station| station.status = "away".to_string());
        }
        Ok(())
    }

    /// A text of a station. Answers to our questions go to those who asked, and do not come here.
    pub(crate) fn handle(&self, request: &dyn IRequest) -> Result<()> {
        let conn = request.get_connection();
        let Some(OcppMessage::Call { id, action, payload }) = OcppMessage::read(request.get_data()) else {
            return Ok(());
        };
        let name = conn.get_user().map_or_else(String::new, |name| name.to_string());
        let Some(answer) = self.answer(&name, &action, &payload) else {
            return conn.send_msg(TEXT, message::error(&id, "NotImplemented", "this action is not known"));
        };
        conn.send_msg(TEXT, message::result(&id, &answer))?;
        if action == "BootNotification" {
            self.after_boot(&name)?;
        }
        Ok(())
    }

    /// What a station that asks is told.
    fn answer(&self, name: &str, action: &str, payload: &Value) -> Option<Value> {
        let text = |key: &str| payload[key].as_str().unwrap_or_default().to_string();
        Some(match action {
            "BootNotification" => {
                let model = format!("{} {}", text("chargePointVendor"), text("chargePointModel"));
                self.change(name, |station| station.model = model);
                json!({"status": "Accepted", "currentTime": now(), "interval": HEARTBEAT})
            }
            "Heartbeat" => json!({"currentTime": now()}),
            "StatusNotification" => {
                self.change(name, |station| station.status = text("status"));
                json!({})
            }
            "Authorize" => json!({"idTagInfo": {"status": judge(&text("idTag"))}}),
            "StartTransaction" => {
                let transaction = self.next_transaction.fetch_add(1, Ordering::Relaxed);
                self.change(name, |station| station.transaction = transaction);
                json!({"transactionId": transaction, "idTagInfo": {"status": judge(&text("idTag"))}})
            }
            "MeterValues" => {
                let value = payload["meterValue"][0]["sampledValue"][0]["value"].as_str().unwrap_or_default();
                self.change(name, |station| {
                    station.meter = value.to_string();
                    station.meter_values += 1;
                });
                json!({})
            }
            "StopTransaction" => {
                self.change(name, |station| station.transaction = 0);
                json!({"idTagInfo": {"status": "Accepted"}})
            }
            _ => return None,
        })
    }

    /// The handler goes on with questions of its own: what the station sends meanwhile waits, in order. One that is silent loses no more
    /// than that.
    fn after_boot(&self, name: &str) -> Result<()> {
        match self.ask(name, "GetConfiguration", &json!({"key": ["HeartbeatInterval"]})) {
            Ok(answer) => {
                let keys = answer["configurationKey"].as_array().map_or(0, Vec::len);
                self.change(name, |station| station.configuration_keys = keys);
                Ok(())
            }
            Err(Error::ConnectionClosed) => Err(Error::ConnectionClosed),
            Err(error) => {
                log::info!("{name}: {error}");
                Ok(())
            }
        }
    }

    /// Asks a station, from anywhere, and returns what it answers.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::ConnectionClosed`] if it is away, and what the station says if it refuses.
    pub(crate) fn ask(&self, name: &str, action: &str, payload: &Value) -> Result<Value> {
        let turn = Arc::clone(lock(&self.turns).entry(name.to_string()).or_default());
        let _turn = turn.acquire();
        let conn = self.connection(name).ok_or(Error::ConnectionClosed)?;
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        let policy = Call::new(self.patience).sequence(number);
        let answer = conn.call_with(TEXT, message::call(number, action, payload), TEXT, policy)?;
        match OcppMessage::read(answer.get_data()) {
            Some(OcppMessage::Result { payload }) => Ok(payload),
            Some(OcppMessage::Error { code, description }) => {
                Err(Error::other(format!("{code}: {description}")))
            }
            _ => Err(Error::other("no answer of OCPP")),
        }
    }
}

/// What the operator is shown, and may do.
impl Central {
    pub(crate) fn stations(&self) -> Value {
        let stations = lock(&self.stations);
        let rows = stations.iter().map(|(name, station)| {
            json!({"name": name, "model": station.model, "status": station.status, "meter": station.meter,
                "transaction": station.transaction, "meterValues": station.meter_values,
                "configurationKeys": station.configuration_keys})
        });
        rows.collect()
    }

    fn connection(&self, name: &str) -> Option<Arc<dyn IConnection>> {
        lock(&self.connections).get(name).cloned()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Station)) {
        if let Some(station) = lock(&self.stations).get_mut(name) {
            change(station);
        }
    }
}

/// Whether somebody may charge. A real system asks its accounts.
fn judge(tag: &str) -> &'static str {
    if tag.starts_with("blocked") { "Blocked" } else { "Accepted" }
}

/// The time as the specification writes it.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0: leap days come last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Headless Chromium, controlled through a pipe: one browser with one page for each test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::harness::retry_within;
use crate::process::Folder;

/// A browser starts slowly while other tests keep the machine busy.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A page in a separate browser.
pub(crate) struct Browser {
    child: Child,
    input: Mutex<ChildStdin>,
    shared: Arc<PipeState>,
    session: String,
    next_id: AtomicU64,
    _profile: Folder,
}

/// Filled by the thread that reads the pipe.
#[derive(Default)]
struct PipeState {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
}

impl Browser {
    /// Starts a browser and opens an address in a window of this width.
    pub(crate) async fn open(address: &str, width: u32) -> Self {
        let profile = Folder::new();
        // The browser uses file descriptors 3 and 4, which only a shell can set without unsafe code.
        let line = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
                    --remote-debugging-pipe --user-data-dir=\"$0\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", line])
            .arg(&profile.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = Mutex::new(child.stdin.take().unwrap());
        let shared = Arc::<PipeState>::default();
        read_all(BufReader::new(child.stdout.take().unwrap()), Arc::clone(&shared));
        let next_id = AtomicU64::new(1);
        let mut browser = Self { child, input, shared, session: String::new(), next_id, _profile: profile };

        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser.resize(width, 900).await;
        browser.call("Page.navigate", json!({"url": address})).await;
        browser.until("document.readyState === 'complete' && location.href !== 'about:blank'").await;
        browser
    }

    /// Calls a method of the `DevTools` protocol.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Calls a method; the answer may be an error.
    async fn answer(&self, method: &str, params: Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        self.shared.waiting.lock().unwrap().insert(id, answered);
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.input.lock().unwrap().write_all(format!("{message}\0").as_bytes()).unwrap();
        let answer = tokio::time::timeout(TEST_TIMEOUT, answer).await.expect("the browser answers in time");
        answer.expect("the browser runs; install the Debian package chromium")
    }

    /// The value of an expression on the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        // A page that refreshes itself may be replaced while it evaluates the expression.
        let is_replaced =
            |answer: &Value| answer.get("error").is_some_and(|error| error.to_string().contains("context"));
        let evaluate = || async {
            let answer = self.answer("Runtime.evaluate", params.clone()).await;
            if is_replaced(&answer) { Err(answer) } else { Ok(answer) }
        };
        let mut answer = retry_within(TEST_TIMEOUT, evaluate).await.unwrap_or_else(|last| last);
        let result = &mut answer["result"];
        assert!(result.is_object() && result.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["result"]["value"].take()
    }

    /// The value of an expression that is a text.
    pub(crate) async fn text(&self, expression: &str) -> String {
        self.value(expression).await.as_str().unwrap_or_else(|| panic!("no text: {expression}")).to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, condition: &str) {
        let is_met = || async { (self.value(condition).await == true).then_some(()).ok_or(()) };
        if retry_within(TEST_TIMEOUT, is_met).await.is_err() {
            let page = self.text("document.body ? document.body.innerText : ''").await;
            panic!("timed out: {condition}, on the page {page}");
        }
    }

    /// Types a text into the focused element.
    pub(crate) async fn r#type(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key.
    pub(crate) async fn press(&self, key: Key) {
        let (name, code, text) = match key {
            Key::Tab => ("Tab", 9, ""),
            Key::Enter => ("Enter", 13, "\r"),
        };
        for r#type in ["keyDown", "keyUp"] {
            let text = if r#type == "keyDown" { text } else { "" };
            let params = json!({
                "type": r#type, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Resizes the window.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        self.call("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
    }

    /// Prefers `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Saves a picture of the whole page in the build folder, for people to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// Errors and warnings that the page or the browser logged.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let events = self.shared.events.lock().unwrap();
        let is_complaint = |event: &&Value| match event["method"].as_str().unwrap() {
            "Runtime.exceptionThrown" | "Log.entryAdded" => true,
            "Runtime.consoleAPICalled" => {
                ["error", "warning", "assert"].contains(&event["params"]["type"].as_str().unwrap())
            }
            _ => false,
        };
        events.iter().filter(is_complaint).map(Value::to_string).collect()
    }

    /// The addresses that the page has requested.
    pub(crate) fn requested(&self) -> Vec<String> {
        let events = self.shared.events.lock().unwrap();
        let requests = events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }
}

/// A key that types no character, such as Tab.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Tab,
    Enter,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(mut output: impl BufRead + Send + 'static, shared: Arc<PipeState>) {
    std::thread::spawn(move || {
        let mut message = Vec::new();
        while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
            let Ok(read) = serde_json::from_slice::<Value>(message.strip_suffix(&[0]).unwrap_or(&message))
            else {
                break;
            };
            message.clear();
            match read["id"].as_u64() {
                Some(id) => {
                    let waiting = shared.waiting.lock().unwrap().remove(&id);
                    // The receiver may have been dropped.
                    waiting.map(|waiting| waiting.send(read));
                }
                None => shared.events.lock().unwrap().push(read),
            }
        }
        // Dropping the senders tells the waiting calls that no answer will come.
        shared.waiting.lock().unwrap().clear();
    });
}

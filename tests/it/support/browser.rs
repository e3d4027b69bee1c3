//! A real Chromium, asked over a pair of pipes in its own protocol.
//!
//! The protocol is JSON with a zero byte behind each message, which takes no library; one that knows
//! all of its messages as types would be the largest part of the tests' build.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a browser on a loaded machine may take for anything before a test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// The names under which a Chromium is installed.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    requests: ChildStdin,
    received: Receiver<Value>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser. Without one on the machine it says so and returns nothing, unless
    /// `ROSTERD_REQUIRE_BROWSER=1` asks for one.
    pub(crate) fn start() -> Option<Browser> {
        let Some(program) = installed() else {
            let is_required = std::env::var("ROSTERD_REQUIRE_BROWSER").is_ok_and(|it| it == "1");
            assert!(!is_required, "there is no Chromium on this machine");
            // Not by a macro: the harness would keep that to itself.
            let mut err = io::stderr();
            writeln!(
                err,
                "SKIPPED: there is no Chromium here to open the page in"
            )
            .unwrap();
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The browser reads from 3 and writes to 4; only a shell can give it those without unsafe code.
        let mut child = Command::new("/bin/sh")
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                "sh",
            ])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--disable-sync",
                "--no-default-browser-check",
                "--no-first-run",
                "--window-size=1280,900",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let (send, received) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers
                .read_until(0, &mut message)
                .is_ok_and(|length| length > 0)
            {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else {
                    break;
                };
                if send.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Browser {
            child,
            requests,
            received,
            session: None,
            last: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let made = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.ask(
            "Target.attachToTarget",
            json!({"targetId": made["targetId"], "flatten": true}),
        );
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a file, and waits until it is loaded.
    pub(crate) fn open(&mut self, path: &Path) {
        self.visit(&format!("file://{}", path.display()));
    }

    /// Opens an address, and waits until it is loaded.
    pub(crate) fn visit(&mut self, url: &str) {
        self.events.clear();
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(answer["errorText"], Value::Null, "{url}");
        self.wait_for_page();
    }

    /// Presses what leads to another page, and waits until that is loaded.
    pub(crate) fn follow(&mut self, selector: &str) {
        self.events.clear();
        self.press(selector);
        self.wait_for_page();
    }

    fn wait_for_page(&mut self) {
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_loaded) {
            self.take();
        }
    }

    /// Gives the window a size in pixels of a page.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 500;
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
    }

    /// Has pages run no script from now on.
    pub(crate) fn without_scripts(&mut self) {
        self.ask(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        );
    }

    /// Evaluates an expression in the page, and waits for it where it is a promise.
    pub(crate) fn look(&mut self, expression: &str) -> Value {
        let answer = self.ask(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].clone()
    }

    /// Returns the text that an element shows.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.look(&format!(
            "document.querySelector({}).innerText",
            json!(selector)
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression holds in the page.
    pub(crate) fn wait_for(&mut self, condition: &str) {
        let patience = PATIENCE.as_millis() / 2;
        let holds = self.look(&format!(
            "new Promise((done) => {{ const end = Date.now() + {patience}; \
             const look = () => {{ if ({condition}) done(true); \
             else if (Date.now() > end) done(false); else setTimeout(look, 10); }}; look(); }})"
        ));
        if holds != true {
            let shown = self.text("#count");
            panic!("{condition} does not come to hold; the page says: {shown}");
        }
    }

    /// Types into an input as a person does.
    pub(crate) fn write(&mut self, selector: &str, text: &str) {
        self.look(&format!(
            "{{ const input = document.querySelector({}); input.focus(); input.select(); }}",
            json!(selector)
        ));
        if text.is_empty() {
            for kind in ["keyDown", "keyUp"] {
                self.ask(
                    "Input.dispatchKeyEvent",
                    json!({"type": kind, "key": "Backspace", "code": "Backspace", "windowsVirtualKeyCode": 8}),
                );
            }
        } else {
            self.ask("Input.insertText", json!({"text": text}));
        }
    }

    /// Chooses the option of a list whose text begins so.
    pub(crate) fn choose(&mut self, selector: &str, beginning: &str) {
        let chosen = self.look(&format!(
            "{{ const list = document.querySelector({}); \
             const option = [...list.options].find((option) => option.text.startsWith({})); \
             if (option) {{ list.value = option.value; list.dispatchEvent(new Event('change', {{ bubbles: true }})); }} \
             Boolean(option); }}",
            json!(selector),
            json!(beginning)
        ));
        assert_eq!(chosen, true, "{beginning} in {selector}");
    }

    /// Presses an element with the mouse, where it stands.
    pub(crate) fn press(&mut self, selector: &str) {
        let place = self.look(&format!(
            "{{ const element = document.querySelector({}); element.scrollIntoView({{ block: 'center' }}); \
             const [box] = element.getClientRects(); \
             ({{ x: box.left + Math.min(box.width, 20) / 2, y: box.top + box.height / 2 }}); }}",
            json!(selector)
        ));
        for (kind, buttons) in [("mousePressed", 1), ("mouseReleased", 0)] {
            self.ask(
                "Input.dispatchMouseEvent",
                json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left", "buttons": buttons, "clickCount": 1}),
            );
        }
    }

    /// Returns what went wrong since the page was opened: errors and warnings of the console, breaches
    /// of its policy, dialogues, and everything but the page itself that was asked for.
    pub(crate) fn troubles(&mut self) -> Vec<String> {
        // What was sent before this answer has arrived with it.
        self.look("0");
        let mut documents = 0;
        let mut is_trouble = |event: &Value| match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                documents += 1;
                documents > 1 || event["params"]["type"] != "Document"
            }
            Some(
                "Runtime.consoleAPICalled"
                | "Runtime.exceptionThrown"
                | "Log.entryAdded"
                | "Page.javascriptDialogOpening"
                | "Network.webSocketCreated",
            ) => true,
            _ => false,
        };
        let troubles = self.events.iter().filter(|event| is_trouble(event));
        troubles.map(Value::to_string).collect()
    }

    /// Returns what went wrong since a page of a site was opened: the same, where it may ask that site for
    /// more.
    pub(crate) fn troubles_beside(&mut self, site: &str) -> Vec<String> {
        self.look("0");
        let is_trouble = |event: &Value| match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = event["params"]["request"]["url"].as_str();
                !url.is_some_and(|url| url.starts_with(site))
            }
            Some("Network.responseReceived") => {
                event["params"]["response"]["status"].as_u64() >= Some(400)
            }
            Some(
                "Runtime.consoleAPICalled"
                | "Runtime.exceptionThrown"
                | "Log.entryAdded"
                | "Page.javascriptDialogOpening"
                | "Network.webSocketCreated",
            ) => true,
            _ => false,
        };
        let troubles = self.events.iter().filter(|event| is_trouble(event));
        troubles.map(Value::to_string).collect()
    }

    /// Asks for something, and returns the answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        write!(self.requests, "{message}\0").unwrap();
        self.requests.flush().unwrap();
        loop {
            let answer = self.take();
            if answer["id"] == self.last {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].clone();
            }
        }
    }

    /// Takes the next message, and keeps it where it is an event.
    fn take(&mut self) -> Value {
        let message = self.received.recv_timeout(PATIENCE);
        let message = message.expect("the browser lives, and answers in time");
        if message["method"].is_string() {
            self.events.push(message.clone());
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = json!({"id": self.last + 1, "method": "Browser.close"});
        let is_told = write!(self.requests, "{close}\0").and_then(|()| self.requests.flush());
        // The pipe ends when the browser and all its helpers have gone.
        while is_told.is_ok() && self.received.recv_timeout(Duration::from_secs(10)).is_ok() {}
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file())
}

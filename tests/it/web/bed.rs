//! A service with a listener and a token.

use std::net::SocketAddr;

use super::client::{Client, Reply};
use crate::commands::bed::{Bed, JOB, Running};

/// The admin token. No other text of a test holds it.
pub(super) const TOKEN: &str = "sesame-7f3a9c-open";

/// A service that runs.
pub(super) struct Service {
    pub(super) bed: Bed,
    pub(super) running: Running,
    pub(super) client: Client,
}

/// Adds the listener and the token to the config of a bed, with more lines of the job.
pub(super) fn configure(bed: &Bed, job: &str, listen: &str) {
    bed.write("admin-token", TOKEN);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(bed.path("admin-token"), private).unwrap();
    let daemon = format!(
        "\n[daemon]\nlisten = \"{listen}\"\nhosts = [\"rosterd.example.org\"]\nadmin_token = {{ file = \"admin-token\" }}\ngrace = \"5s\"\n"
    );
    bed.write("rosterd.toml", &(bed.config(job) + &daemon));
}

impl Service {
    /// Starts a service over a bed whose only schedule is far away, with more lines of the job.
    pub(super) fn over(bed: Bed, job: &str) -> Service {
        let job = format!("schedule = \"0 0 1 1 *\"\n{job}");
        configure(&bed, &job, "127.0.0.1:0");
        let mut running = bed.start(&["run"]);
        let said = running.wait_for_line("The status page, the metrics and the API are served.");
        running.wait_for("The service is running.");
        let client = Client::of(address_in(&said));
        Service {
            bed,
            running,
            client,
        }
    }

    pub(super) fn new() -> Service {
        Service::over(Bed::new(), "")
    }

    /// The client with the admin token.
    pub(super) fn admin(&self) -> Client {
        self.client.bearer(TOKEN)
    }

    /// Has a run of the job begin. The one before may be written down as ended a moment before the
    /// service has taken that in.
    #[track_caller]
    pub(super) fn begin(&self, path: &str, body: &str) -> Reply {
        for _ in 0..2_000 {
            let reply = self.admin().post(path, body);
            if reply.status != 409 {
                return reply.assert(202);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        panic!("{path} never begins");
    }

    /// Has the job run, and waits until that went well.
    #[track_caller]
    pub(super) fn run_well(&self) {
        let job = format!("/api/v1/jobs/{JOB}");
        self.begin(&format!("{job}/run"), "");
        self.until(&job, |job| job["last_run"]["outcome"] == "done");
    }

    /// Asks for a path until the answer is as it should be; the service changes in its own time.
    #[track_caller]
    pub(super) fn until(
        &self,
        path: &str,
        is_so: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let mut last = serde_json::Value::Null;
        for _ in 0..2_000 {
            last = self.admin().get(path).assert(200).json();
            if is_so(&last) {
                return last;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        panic!("{path} stays as it is: {last}");
    }

    /// Stops the service and returns what it said.
    pub(super) fn stop(self) -> String {
        self.running.signal("TERM");
        let (code, said) = self.running.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// Reads the address that a line of the log names.
pub(super) fn address_in(line: &str) -> SocketAddr {
    let rest = line.split("address=").nth(1).expect("it names an address");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

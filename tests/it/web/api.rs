//! `/api/v1`: the document that describes it against real answers, and what it changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use rosterd::state::Locks;

use super::bed::Service;
use super::client::{Client, Reply};
use crate::commands::bed::JOB;

/// Holds answers against the document.
struct Contract {
    document: Value,
    seen: BTreeSet<(String, String, String)>,
}

impl Contract {
    fn of(client: &Client) -> Contract {
        let document = client.get("/api/v1/openapi.json").assert(200).json();
        assert_eq!(document["openapi"], "3.1.0");
        Contract {
            document,
            seen: BTreeSet::new(),
        }
    }

    /// Takes an answer to a path of the document, and fails where that says something else.
    #[track_caller]
    fn hold(&mut self, method: &str, template: &str, reply: Reply) -> Value {
        let status = reply.status.to_string();
        let place = format!("{method} {template} {status}");
        let answer = &self.document["paths"][template][method]["responses"][&status];
        let content = answer["content"].as_object();
        let content = content.unwrap_or_else(|| panic!("{place} is not described: {}", reply.body));
        let (kind, described) = content.iter().next().unwrap();
        assert_eq!(reply.header("content-type"), Some(kind.as_str()), "{place}");
        let value = reply.json();
        let mut wrong = Vec::new();
        self.compare(&described["schema"], &value, "", &mut wrong);
        assert!(wrong.is_empty(), "{place}: {wrong:#?}\n{value:#}");
        let (method, template) = (method.to_owned(), template.to_owned());
        self.seen.insert((method, template, status));
        value
    }

    /// Compares a value with what is said of it, in both directions: no key may be missing, and none be
    /// there that is not described.
    fn compare(&self, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            let meant = &self.document["components"]["schemas"][name];
            assert!(meant.is_object(), "{name} is not described");
            return self.compare(meant, value, place, wrong);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let fits = any.iter().any(|schema| {
                let mut wrong = Vec::new();
                self.compare(schema, value, place, &mut wrong);
                wrong.is_empty()
            });
            if !fits && !value.is_null() {
                self.compare(&any[0], value, place, wrong);
            }
            return;
        }
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let mut kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => panic!("{place}: nothing is said of its type: {schema}"),
        };
        if kinds.contains(&"number") {
            kinds.push("integer");
        }
        if !kinds.contains(&is) {
            wrong.push(format!("{place} is {is} and not {kinds:?}"));
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            wrong.push(format!("{place} is {value}, none of {words:?}"));
        }
        if schema["format"] == "date-time"
            && let Some(text) = value.as_str()
            && text.parse::<jiff::Timestamp>().is_err()
        {
            wrong.push(format!("{place} is no time: {text}"));
        }
        for (number, element) in value.as_array().into_iter().flatten().enumerate() {
            self.compare(
                &schema["items"],
                element,
                &format!("{place}[{number}]"),
                wrong,
            );
        }
        let Some(object) = value.as_object() else {
            return;
        };
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            if !object.contains_key(key) {
                wrong.push(format!("{place}.{key} is missing"));
            }
        }
        for (key, element) in object {
            let place = format!("{place}.{key}");
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(true)) => {}
                (Value::Null, more) if more.is_object() => {
                    self.compare(more, element, &place, wrong);
                }
                // What history keeps of a run is described where the plan is.
                (Value::Null, Value::Null) => {}
                (Value::Null, _) => wrong.push(format!("{place} is not described")),
                (schema, _) => self.compare(schema, element, &place, wrong),
            }
        }
    }

    /// Fails unless every path of the document was asked, with every answer that is no error.
    fn assert_all_seen(&self) {
        let mut missing = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    let key = (method.clone(), path.clone(), status.clone());
                    if status.starts_with('2') && !self.seen.contains(&key) {
                        missing.push(key);
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Takes everybody out of two groups, which no guard lets pass, and gives another one a person whom
/// nobody can sync.
fn upset(service: &Service) {
    service.bed.leave("Donors", 10);
    service.bed.leave("Friends", 10);
    service.bed.account("crm", |crm| {
        let group = crm.find_group("Board").unwrap();
        let contact = crm.add_person("ana@@example.org", "Ana", "Silva");
        crm.join(group, contact);
    });
}

fn of_job(rest: &str) -> String {
    format!("/api/v1/jobs/{JOB}{rest}")
}

fn template(rest: &str) -> String {
    format!("/api/v1/jobs/{{job}}{rest}")
}

#[test]
fn every_answer_is_as_the_document_says() {
    let service = Service::new();
    let (nobody, admin) = (service.client.clone(), service.admin());
    let mut contract = Contract::of(&nobody);
    contract.hold(
        "get",
        "/api/v1/openapi.json",
        nobody.get("/api/v1/openapi.json"),
    );
    contract.hold(
        "get",
        "/api/v1/counts",
        nobody.get("/api/v1/counts").assert(200),
    );
    for path in ["status", "jobs", "runs", "failures"] {
        let path = format!("/api/v1/{path}");
        contract.hold("get", &path, nobody.get(&path).assert(401));
        contract.hold("get", &path, admin.get(&path).assert(200));
    }
    let begins = service.begin(&of_job("/run"), "");
    contract.hold("post", &template("/run"), begins);
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "done");
    assert_eq!(service.bed.size("mail", "Donors"), 10);
    let none = admin.get(&of_job("/plan")).assert(404);
    contract.hold("get", &template("/plan"), none);

    upset(&service);
    service.begin(&of_job("/run"), "");
    let job = service.until(&of_job(""), |job| job["approval"].is_string());
    contract.hold("get", &template(""), admin.get(&of_job("")).assert(200));
    let plan = contract.hold(
        "get",
        &template("/plan"),
        admin.get(&of_job("/plan")).assert(200),
    );
    assert_eq!(plan["approval"], job["approval"]);
    assert_eq!(plan["refusals"][0]["guard"], "max_membership_removals");
    let wrong = admin.post(&of_job("/approve"), r#"{"approval":"another"}"#);
    contract.hold("post", &template("/approve"), wrong.assert(409));
    let right = json!({"approval": job["approval"]}).to_string();
    let begins = service.begin(&of_job("/approve"), &right);
    contract.hold("post", &template("/approve"), begins);
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "partial");
    assert_eq!(service.bed.size("mail", "Donors"), 0, "it was let pass");
    contract.hold(
        "post",
        &template("/approve"),
        admin.post(&of_job("/approve"), &right).assert(409),
    );

    contract.hold(
        "get",
        &template("/groups"),
        admin.get(&of_job("/groups")).assert(200),
    );
    contract.hold(
        "get",
        "/api/v1/status",
        admin.get("/api/v1/status").assert(200),
    );
    contract.hold(
        "get",
        "/api/v1/counts",
        admin.get("/api/v1/counts").assert(200),
    );
    let page = contract.hold(
        "get",
        &template("/runs"),
        admin.get(&of_job("/runs?limit=1")).assert(200),
    );
    let before = format!(
        "/api/v1/runs?limit=1&before={}",
        page["next"].as_str().unwrap()
    );
    let older = contract.hold("get", "/api/v1/runs", admin.get(&before).assert(200));
    assert_eq!(older["runs"][0]["outcome"], "refused");
    let all = contract.hold("get", "/api/v1/runs", admin.get("/api/v1/runs").assert(200));
    let first = all["runs"].as_array().unwrap().last().unwrap();
    let path = format!("/api/v1/runs/{}?limit=7", first["run"].as_str().unwrap());
    let run = contract.hold("get", "/api/v1/runs/{run}", admin.get(&path).assert(200));
    assert_eq!(run["items"].as_array().unwrap().len(), 7);
    let more = format!("{path}&after={}", run["next"].as_str().unwrap());
    let more = contract.hold("get", "/api/v1/runs/{run}", admin.get(&more).assert(200));
    assert_eq!(more["before"], 7);
    for path in [
        "/api/v1/runs/none",
        "/api/v1/runs/x%00y",
        "/api/v1/runs/%ff",
    ] {
        contract.hold("get", "/api/v1/runs/{run}", admin.get(path).assert(404));
    }
    for query in ["?limit=x", "?unknown=1"] {
        let path = format!("/api/v1/runs{query}");
        contract.hold("get", "/api/v1/runs", admin.get(&path).assert(400));
    }

    let failures = contract.hold(
        "get",
        "/api/v1/failures",
        admin.get("/api/v1/failures").assert(200),
    );
    assert_eq!(failures["open"], 1, "{failures}");
    let item = failures["failures"][0]["item"].as_str().unwrap();
    let accept = json!({"items": [item], "reason": "known"}).to_string();
    let accepted = admin.post(&of_job("/accept"), &accept).assert(200);
    let accepted = contract.hold("post", &template("/accept"), accepted);
    assert_eq!(accepted["accepted"][0]["why"], "known");
    let none = admin
        .post(&of_job("/accept"), r#"{"items":["zzz"]}"#)
        .assert(404);
    contract.hold("post", &template("/accept"), none);
    for body in [
        "{}",
        "[",
        r#"{"item":"x"}"#,
        r#"{"items":["a"],"all_blocked":"b"}"#,
    ] {
        let wrong = admin.post(&of_job("/accept"), body).assert(400);
        contract.hold("post", &template("/accept"), wrong);
    }
    let revoked = admin.post(&of_job("/revoke"), &accept).assert(200);
    let revoked = contract.hold("post", &template("/revoke"), revoked);
    assert_eq!(revoked["accepted"], json!([]));

    let paused = admin
        .post(&of_job("/pause"), r#"{"reason":"moving house"}"#)
        .assert(200);
    let paused = contract.hold("post", &template("/pause"), paused);
    assert_eq!(
        (&paused["state"], &paused["paused_reason"]),
        (&json!("paused"), &json!("moving house"))
    );
    let resumed = admin.post(&of_job("/resume"), "").assert(200);
    let resumed = contract.hold("post", &template("/resume"), resumed);
    assert_eq!(resumed["paused_reason"], Value::Null);
    for rest in ["run", "pause", "resume", "accept", "revoke", "approve"] {
        let body = match rest {
            "approve" => r#"{"approval":"x"}"#,
            "accept" | "revoke" => r#"{"items":["x"]}"#,
            _ => "",
        };
        let unknown = admin
            .post(&format!("/api/v1/jobs/none/{rest}"), body)
            .assert(404);
        contract.hold("post", &template(&format!("/{rest}")), unknown);
        let form = admin
            .form(&of_job(&format!("/{rest}")), "approval=x")
            .assert(415);
        contract.hold("post", &template(&format!("/{rest}")), form);
    }
    for rest in ["", "/plan", "/groups", "/runs"] {
        let unknown = admin.get(&format!("/api/v1/jobs/none{rest}")).assert(404);
        contract.hold("get", &template(rest), unknown);
    }
    let session = nobody.signed_in(super::bed::TOKEN);
    contract.hold(
        "get",
        "/api/v1/session",
        session.get("/api/v1/session").assert(200),
    );
    contract.assert_all_seen();
    service.stop();
}

/// Fails unless an object has every key that another one has, with the same kind of value.
#[track_caller]
fn assert_holds(api: &Value, command: &Value, place: &str) {
    for (key, value) in command.as_object().unwrap() {
        let held = api.get(key);
        assert!(held.is_some(), "{place}: no key {key} in {api}");
        let held = held.unwrap();
        assert!(
            held == value || key == "heard",
            "{place}: {key} is {held}, and the command prints {value}"
        );
    }
}

#[test]
fn what_a_command_prints_has_the_same_keys_and_values_here() {
    let service = Service::new();
    let (bed, admin) = (&service.bed, service.admin());
    service.begin(&of_job("/run"), "");
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "done");
    upset(&service);
    service.begin(&of_job("/run"), "");
    let job = service.until(&of_job(""), |job| job["approval"].is_string());
    let approve = json!({"approval": job["approval"]}).to_string();
    service.begin(&of_job("/approve"), &approve);
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "partial");

    let said = bed.line("status --format json").json(&["jobs"]);
    let status = admin.get("/api/v1/status").json();
    assert_holds(&status["jobs"][0], &said["jobs"][0], "status");
    assert_holds(&status["service"], &said["service"], "service");
    let said = bed.line("history --format json").json(&["runs"]);
    let runs = admin.get("/api/v1/runs").json();
    for (run, said) in runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .zip(said["runs"].as_array().unwrap())
    {
        assert_holds(run, said, "history");
    }
    let said = bed.line("failures --format json").json(&["failures"]);
    let failures = admin.get("/api/v1/failures").json();
    assert_holds(&failures["failures"][0], &said["failures"][0], "failures");
    let said = bed.line("links --format json").json(&["links"]);
    let groups = admin.get(&of_job("/groups")).json();
    assert_holds(&groups["links"][0], &said["links"][0], "links");
    let id = runs["runs"][0]["run"].as_str().unwrap();
    let said = bed
        .line(&format!("show {id} --format json"))
        .json(&["items"]);
    let run = admin.get(&format!("/api/v1/runs/{id}")).json();
    assert_eq!(run["items"], said["items"]);
    service.stop();
}

/// Whoever approves does not see that somebody else's command has the job for a moment.
#[test]
fn an_approval_is_not_lost_to_a_job_that_is_in_use() {
    let mut service = Service::new();
    service.begin(&of_job("/run"), "");
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "done");
    upset(&service);
    service.begin(&of_job("/run"), "");
    let job = service.until(&of_job(""), |job| job["approval"].is_string());
    let held = Locks::new(&service.bed.path("rosterd.db"))
        .lock_job(JOB)
        .unwrap();
    let approval = json!({"approval": job["approval"]}).to_string();
    service.begin(&of_job("/approve"), &approval);
    service
        .running
        .wait_for("The job or an account is in use, so the run is tried again in a minute.");
    drop(held);
    service.running.wait_for("A run begins that was asked for.");
    service.until(&of_job(""), |job| job["last_run"]["outcome"] == "partial");
    assert_eq!(service.bed.size("mail", "Donors"), 0, "it was let pass");
}

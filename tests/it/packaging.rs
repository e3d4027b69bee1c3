//! What `config/` holds for an installation is sound, and says what is so.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rosterd::config;
use tempfile::TempDir;

use crate::commands::bed::{Bed, repository, small_world};

/// The program that is tested.
const PROGRAM: &str = env!("CARGO_BIN_EXE_rosterd");

fn text(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

/// Says what is not tried on this machine.
fn skipped(why: &str) {
    // Not by a macro: the harness would keep that to itself.
    let mut err = std::io::stderr();
    writeln!(err, "SKIPPED: {why}").unwrap();
}

/// Runs a tool; nothing where the machine does not have it.
fn tool(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program).args(arguments).output().ok()
}

/// The shipped unit, with the program that is tested in the place of the installed one.
fn unit() -> String {
    let unit = text("config/rosterd.service");
    assert!(unit.contains("ExecStart=/usr/bin/rosterd "));
    unit.replace("/usr/bin/rosterd", PROGRAM)
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("rosterd.service");
    fs::write(&file, unit()).unwrap();
    let file = file.to_str().unwrap();
    let Some(verified) = tool("systemd-analyze", &["--man=no", "verify", file]) else {
        return skipped("there is no systemd-analyze here to look at the unit");
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(
        verified.status.success() && !said.contains("rosterd.service"),
        "{said}"
    );
    // A tenth of a point each: the way to the providers costs most of what is left.
    let judged = tool(
        "systemd-analyze",
        &["security", "--offline=true", "--threshold=12", file],
    );
    let judged = judged.unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    if said.contains("offline") {
        return skipped("this systemd-analyze is too old to judge a unit that is not installed");
    }
    assert!(
        judged.status.success(),
        "{}{said}",
        String::from_utf8_lossy(&judged.stdout)
    );
}

/// A unit of a real systemd, gone with this value.
struct RealUnit {
    name: String,
    directory: PathBuf,
}

impl RealUnit {
    fn systemctl(&self, verb: &str) -> Output {
        tool("systemctl", &[verb, &self.name]).unwrap()
    }

    fn property(&self, name: &str) -> String {
        let shown = tool("systemctl", &["show", "--value", "-p", name, &self.name]).unwrap();
        String::from_utf8_lossy(&shown.stdout).trim().to_owned()
    }
}

impl Drop for RealUnit {
    fn drop(&mut self) {
        drop(self.systemctl("stop"));
        drop(fs::remove_file(
            Path::new("/run/systemd/system").join(&self.name),
        ));
        drop(tool("systemctl", &["daemon-reload"]));
        drop(fs::remove_dir_all(&self.directory));
        drop(fs::remove_dir_all(
            Path::new("/var/lib").join(self.name.trim_end_matches(".service")),
        ));
    }
}

#[test]
fn the_unit_starts_reloads_and_stops_under_a_real_systemd() {
    if !Path::new("/run/systemd/system").is_dir() {
        return skipped("this machine was not started by systemd: the unit was not started");
    }
    let me = tool("id", &["-u"]).unwrap();
    if me.stdout != b"0\n" {
        return skipped("only root can install a unit: it was not started");
    }
    // The emulated accounts are reached over the loopback device, which the unit lets through.
    let bed = Bed::over(small_world());
    let name = format!("rosterd-test-{}", std::process::id());
    // A place that the unit may read, unlike /home and /root.
    let directory = Path::new("/opt").join(&name);
    fs::create_dir_all(&directory).unwrap();
    let unit_of = RealUnit {
        name: format!("{name}.service"),
        directory: directory.clone(),
    };
    let program = directory.join("rosterd");
    fs::copy(PROGRAM, &program).unwrap();
    let config = directory.join("rosterd.toml");
    let [crm, mail] = bed.secrets();
    fs::write(directory.join("crm"), crm).unwrap();
    fs::write(directory.join("mail"), mail).unwrap();
    let state = format!("/var/lib/{name}/rosterd.db");
    fs::write(&config, with_credentials(&bed, &state)).unwrap();
    let directory = directory.display();
    let unit = text("config/rosterd.service")
        .replace("/usr/bin/rosterd", program.to_str().unwrap())
        .replace("/etc/rosterd/rosterd.toml", config.to_str().unwrap())
        .replace(
            "StateDirectory=rosterd\n",
            &format!("StateDirectory={name}\n"),
        )
        // The package makes the user; here nobody did.
        .replace("User=rosterd\n", "DynamicUser=yes\n")
        .replace(
            "Group=rosterd\n",
            &format!("LoadCredential=crm:{directory}/crm\nLoadCredential=mail:{directory}/mail\n"),
        );
    fs::write(Path::new("/run/systemd/system").join(&unit_of.name), unit).unwrap();
    assert!(
        tool("systemctl", &["daemon-reload"])
            .unwrap()
            .status
            .success()
    );

    let started = unit_of.systemctl("start");
    assert!(
        started.status.success() && unit_of.property("ActiveState") == "active",
        "it is not ready: {} {}",
        String::from_utf8_lossy(&started.stderr),
        unit_of.property("Result"),
    );
    assert!(unit_of.systemctl("reload").status.success());
    assert_eq!(unit_of.property("ActiveState"), "active");
    assert!(unit_of.systemctl("stop").status.success());
    assert_eq!(
        (
            unit_of.property("Result").as_str(),
            unit_of.property("ExecMainStatus").as_str()
        ),
        ("success", "0")
    );
}

/// The config of a bed with its logins as credentials and a schedule.
fn with_credentials(bed: &Bed, state: &str) -> String {
    let config: toml::Table = bed.config("schedule = \"*/15 * * * *\"").parse().unwrap();
    let mut config = config;
    config.insert("state".to_owned(), toml::toml! { path = "" }.into());
    config["state"]["path"] = state.into();
    for (provider, key) in [("crm", "password"), ("mail", "access_token")] {
        config["providers"][provider][key] =
            toml::Table::from_iter([("credential".to_owned(), provider.into())]).into();
    }
    toml::to_string(&config).unwrap()
}

/// Reads a config that stands in another file, and holds it to being sound.
fn assert_loads(what: &str, config: &str) {
    match config::parse(config, Path::new("/etc/rosterd/rosterd.toml")) {
        Ok((_, warnings)) => {
            // Whether this build serves a page is not the point here.
            let others = warnings
                .into_iter()
                .filter(|warning| !warning.message.starts_with("`daemon."));
            let others = config::diagnostics::Diagnostics::new(others.collect());
            assert!(others.is_empty(), "{what}: {}", others.render(false));
        }
        Err(found) => panic!("{what}: {}", found.render(false)),
    }
}

#[test]
fn the_configs_of_the_package_and_of_kubernetes_load() {
    assert_loads("the package", &text("config/debian/rosterd.toml"));
    let kubernetes = text("config/kubernetes/rosterd.yaml");
    let (_, rest) = kubernetes.split_once("rosterd.toml: |\n").unwrap();
    let config: Vec<&str> = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| line.trim_start_matches("    "))
        .collect();
    let config = config.join("\n");
    assert_loads("Kubernetes", &config);
    // Every secret that the config reads is one that the commands at its head make.
    let secrets: Vec<&str> = config
        .split("/run/secrets/rosterd/")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .collect();
    assert_eq!(secrets.len(), 3);
    for secret in secrets {
        assert!(
            kubernetes.contains(&format!("--from-file={secret}")),
            "{secret}"
        );
    }
    assert!(kubernetes.contains("mountPath: /run/secrets/rosterd, readOnly: true"));
    assert!(kubernetes.contains("replicas: 1 "));
    for hardened in [
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "capabilities: {drop: [ALL]}",
        "path: /healthz",
        "path: /readyz",
    ] {
        assert!(kubernetes.contains(hardened), "{hardened}");
    }
}

#[test]
fn the_image_holds_what_it_copies_and_runs_as_nobody_in_particular() {
    let file = text("config/Dockerfile");
    let lines: Vec<&str> = file.lines().collect();
    let ignored = text(".dockerignore");
    let let_in: BTreeSet<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for line in lines.iter().filter(|line| line.starts_with("COPY ")) {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        if words[0].starts_with("--from") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            assert!(repository().join(source).exists(), "{source}");
            assert!(let_in.contains(source), "{source} is ignored");
        }
    }
    // The last stage is the image.
    let last = lines
        .iter()
        .rposition(|line| line.starts_with("FROM "))
        .unwrap();
    let user = lines[last..]
        .iter()
        .find_map(|line| line.strip_prefix("USER "))
        .unwrap();
    assert!(
        user.split(':')
            .all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "a number, which Kubernetes can tell from root's: {user}"
    );
    assert!(file.contains("VOLUME /var/lib/rosterd"));
    assert!(file.contains("HEALTHCHECK"));
    // The image of the build is of the compiler that the crate asks for.
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let compiler = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(
        file.contains(&format!("FROM rust:{compiler}-")),
        "{compiler}"
    );
}

#[test]
fn the_scripts_of_the_package_are_scripts() {
    for script in ["postinst", "prerm", "postrm"] {
        let path = repository().join("config/debian").join(script);
        let checked = tool("sh", &["-n", path.to_str().unwrap()]).unwrap();
        assert!(
            checked.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        // What cargo-deb has to say for the unit goes there.
        assert!(text(&format!("config/debian/{script}")).contains("#DEBHELPER#"));
    }
    let checked = tool(
        "bash",
        &[
            "-n",
            repository().join("config/debian/build").to_str().unwrap(),
        ],
    );
    assert!(checked.is_none_or(|checked| checked.status.success()));
}

#[test]
fn the_debian_package_is_built_and_holds_all_of_it() {
    let has_tools = tool("cargo", &["deb", "--version"])
        .is_some_and(|answer| answer.status.success())
        && tool("dpkg-deb", &["--version"]).is_some();
    if !has_tools {
        let is_required = std::env::var("ROSTERD_REQUIRE_PACKAGE").is_ok_and(|it| it == "1");
        assert!(!is_required, "there is no cargo-deb on this machine");
        return skipped("there is no cargo-deb here to build the package with");
    }
    // The profile of these tests, which has been built.
    let target = Path::new(PROGRAM).ancestors().nth(2).unwrap();
    let built = Command::new(repository().join("config/debian/build"))
        .args(["--no-build", "dev", "--fast"])
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    let package = String::from_utf8_lossy(&built.stdout).trim().to_owned();
    let package = package.lines().last().unwrap();
    let held = tool("dpkg-deb", &["-c", package]).unwrap();
    let held = String::from_utf8_lossy(&held.stdout).into_owned();
    for path in [
        "./usr/bin/rosterd",
        "./usr/lib/systemd/system/rosterd.service",
        "./etc/rosterd/rosterd.toml",
        "./usr/share/man/man1/rosterd.1.gz",
        "./usr/share/man/man1/rosterd-plan.1.gz",
        "./usr/share/bash-completion/completions/rosterd",
        "./usr/share/zsh/vendor-completions/_rosterd",
        "./usr/share/fish/vendor_completions.d/rosterd.fish",
        "./usr/share/doc/rosterd/copyright",
        "./usr/share/doc/rosterd/examples/greenrope-to-emfluence.toml",
    ] {
        assert!(
            held.lines().any(|line| line.ends_with(path)),
            "the package does not hold {path}"
        );
    }
    let control = TempDir::new().unwrap();
    let directory = control.path().to_str().unwrap();
    let laid_out = tool("dpkg-deb", &["-e", package, directory]).unwrap();
    assert!(laid_out.status.success());
    assert_eq!(
        fs::read_to_string(control.path().join("conffiles"))
            .unwrap()
            .trim(),
        "/etc/rosterd/rosterd.toml",
        "a config that somebody filled in is not replaced"
    );
    let postinst = fs::read_to_string(control.path().join("postinst")).unwrap();
    assert!(postinst.contains("useradd") && postinst.contains("deb-systemd-helper"));
    assert!(
        !postinst.contains("deb-systemd-invoke start"),
        "nothing starts before somebody has filled in the config"
    );
    install(package);
}

/// Installs the package in a copy of this machine that is gone afterwards, and takes it out again.
fn install(package: &str) {
    const SCRIPT: &str = r#"
        set -e
        mount -t tmpfs tmpfs "$2" || exit 77
        mkdir "$2/upper" "$2/work" "$2/root"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$2/upper,workdir=$2/work" "$2/root" || exit 77
        root=$2/root
        mkdir -p "$root/tmp"
        cp "$1" "$root/tmp/rosterd.deb"
        # The copy is of a machine that may have rosterd already.
        chroot "$root" dpkg --purge rosterd
        rm -rf "$root/etc/rosterd" "$root/var/lib/rosterd"
        as_rosterd() { chroot "$root" runuser -u rosterd -- "$@"; }

        chroot "$root" dpkg --install /tmp/rosterd.deb
        as_rosterd rosterd --config /etc/rosterd/rosterd.toml check
        as_rosterd rosterd --config /etc/rosterd/rosterd.toml status
        if as_rosterd ls /etc/rosterd/secrets; then echo "the user of the service reads the secrets of root"; exit 1; fi
        chroot "$root" dpkg --purge rosterd
        for gone in /usr/bin/rosterd /etc/rosterd /var/lib/rosterd; do
            if [ -e "$root$gone" ]; then echo "$gone was left behind"; exit 1; fi
        done
        if chroot "$root" id rosterd; then echo "the user was left behind"; exit 1; fi

        # Who refused mail is remembered past a purge.
        chroot "$root" dpkg --install /tmp/rosterd.deb
        as_rosterd touch /var/lib/rosterd/rosterd.db
        chroot "$root" dpkg --purge rosterd
        test -e "$root/var/lib/rosterd/rosterd.db"
    "#;
    let place = TempDir::new().unwrap();
    let place = place.path().to_str().unwrap();
    let Some(done) = tool(
        "unshare",
        &["--mount", "sh", "-c", SCRIPT, "sh", package, place],
    ) else {
        return skipped("there is no unshare here: the package was not installed");
    };
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    if done.status.code() == Some(77) || said.starts_with("unshare: ") {
        return skipped(
            "nothing can be laid over this machine's files: the package was not installed",
        );
    }
    assert!(done.status.success(), "{said}");
}

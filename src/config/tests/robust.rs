use proptest::prelude::*;

use super::*;

/// Reads a text and renders whatever is said about it.
fn survive(text: &str) {
    match parse(text, Path::new("rosterd.toml")) {
        Ok((config, warnings)) => drop(format!("{config:?}{warnings:?}")),
        Err(findings) => {
            assert!(!findings.is_empty());
            drop(format!("{findings}{findings:?}{}", findings.to_json()));
            assert_eq!(
                findings,
                parse(text, Path::new("rosterd.toml")).unwrap_err(),
                "the same text gives the same findings"
            );
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(200))]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        survive(&text);
    }

    #[test]
    fn any_mutation_is_survived(at in 0..SOUND.len(), gone in 0..40_usize, put in "[\\]\\[={}\"'#.,\n \u{e9}a-z0-9*\\\\]{0,6}") {
        let (start, end) = (boundary(at), boundary((at + gone).min(SOUND.len())));
        survive(&format!("{}{put}{}", &SOUND[..start], &SOUND[end..]));
    }

    #[test]
    fn a_secret_in_plain_text_is_never_shown(
        key in prop::sample::select(vec!["password", "auth_token", "pasword", "pw", "access_token", "api_key", "login"]),
        value in prop::sample::select(vec!["\"hunter2!\"", "'hunter2!'", "\"\"\"\nhunter2!\n\"\"\"", "hunter2!", "\"hunter2!", "[\"hunter2!\"]",
            "{ env = \"hunter2!\" }", "{ hunter2 = 1 }", "{ \"hunter2!\" = \"hunter2!\" }", "{ credential = \"x/hunter2!\" }", "{ evn = \"hunter2!\" }"]),
        inline in any::<bool>(),
    ) {
        let text = if inline {
            format!("providers.crm = {{ kind = \"greenrop\", {key} = {value}, email = 5 }}")
        } else {
            format!("[providers.crm]\nkind = \"greenrope\"\n{key} = {value}\nemail = 5\n")
        };
        let findings = parse(&text, Path::new("rosterd.toml")).unwrap_err();
        prop_assert!(!format!("{findings} {findings:?} {}", findings.to_json()).contains("hunter2"), "{findings}");
    }
}

fn boundary(at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| SOUND.is_char_boundary(*at))
        .unwrap_or(0)
}

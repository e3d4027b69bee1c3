//! Reading through the whole adapter.

use std::time::Duration;

use secrecy::SecretString;

use super::super::session::{DOUBTFUL_AFTER, RENEW_AFTER};
use super::super::{GreenRope, GreenRopeCredential};
use super::fixture;
use super::service::{Asked, Said, adapter, with_options};
use crate::http::CallError;
use crate::model::{Address, Existence, MemberStatus, MembershipState, Reading, normalise_address};
use crate::provider::testing::{Read, read_members};
use crate::provider::{GroupsByPeople, ReadError, Role, Source};

pub(super) async fn read(crm: &GreenRope, role: Role<'_>) -> Result<Read, ReadError> {
    let (rows, certificate) = crm.groups(&|_, _| true).await?;
    read_members(crm, &rows, &certificate, &[], role).await
}

fn crm(answer: impl Fn(&Asked) -> Option<&'static [u8]> + Send + Sync + 'static) -> GreenRope {
    adapter(move |asked, _| answer(asked).map(|body| (200, body.to_vec()))).0
}

fn is_members(asked: &Asked) -> bool {
    asked.xml().contains("group_id=\"7\"")
        && !asked.xml().contains("Unsubscribed")
        && !asked.xml().contains("Bounced")
}

fn error(operation: &str, text: &str) -> Vec<u8> {
    format!("<{operation}Response><Result>Error</Result><ErrorCode>9001</ErrorCode><ErrorText>{text}</ErrorText></{operation}Response>")
        .into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_source_is_read_with_its_opt_outs() {
    let (crm, log) = adapter(|_, _| None);
    crm.open().await.unwrap();
    let before = log.all().len() as u64;
    let read = read(&crm, Role::Source).await.unwrap();
    assert_eq!(
        log.all().len() as u64 - before - 2,
        crm.predicted_reads(&two_groups(), false),
        "the list of groups is one besides, and so is what shows that groups are told apart, because somebody names none"
    );
    let (active, opted_out) = (MembershipState::Active, MembershipState::OptedOut);
    let expected = [
        ("101", active),
        ("102", active),
        ("103", active),
        ("104", opted_out),
    ];
    assert_eq!(
        read.states("7"),
        expected.map(|(id, state)| (id.to_owned(), state)).into()
    );
    assert!(
        read.is_complete("7") && read.is_complete("8"),
        "{} {}",
        read.why("7"),
        read.why("8")
    );
    assert!(read.states("8").is_empty());
    assert_eq!(
        (read.status("101"), read.status("102")),
        (MemberStatus::Active, MemberStatus::OptedOut)
    );
    assert!(matches!(read.snapshot.account_state, Reading::Complete(_)));
    assert_eq!(read.snapshot.existence, Existence::Unknown);
    assert_eq!(read.shelf.0["101"]["Zip"].to_string(), "01234");
    let certificate = &read.snapshot.certificates["7"];
    assert_eq!(
        (
            certificate.distinct,
            certificate.opted_out,
            certificate.pages
        ),
        (4, 2, 2)
    );
    for asked in log.all() {
        assert_eq!(
            (asked.path.as_str(), asked.field("email")),
            ("/api-xml", "ops+crm@example.org")
        );
        let login = asked.xml().starts_with("<GetAuthToken");
        assert_eq!(
            (asked.field("password"), asked.field("auth_token")),
            if login { ("hush", "") } else { ("", "t+1") }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_names_no_group_is_no_member_where_more_come_than_the_group_counts() {
    let rows: String = (101..109).fold(String::new(), |rows, id| {
        rows + &format!("<Contact><Contact_id>{id}</Contact_id></Contact>")
    });
    let everybody = format!(
        "<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts></GetContactsResponse>"
    );
    let same = everybody.clone();
    let (crm, _) =
        adapter(move |asked, _| is_members(asked).then(|| (200, everybody.clone().into_bytes())));
    let read = read(&crm, Role::Source).await.unwrap();
    assert!(!read.is_complete("7"));
    assert!(
        read.why("7").contains("do not say which groups"),
        "{}",
        read.why("7")
    );
    let refused = [("104".to_owned(), MembershipState::OptedOut)];
    assert_eq!(read.states("7"), refused.into());
    // Nor is anybody a refuser where the question for those is answered with everybody as well.
    let (crm, _) = adapter(move |asked, _| {
        let of_group = asked.xml().contains("group_id=\"7\"");
        of_group.then(|| (200, same.clone().into_bytes()))
    });
    let read = super::reading::read(&crm, Role::Source).await.unwrap();
    assert!(!read.is_complete("7") && read.states("7").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_count_that_fits_is_no_proof_for_those_who_name_no_group() {
    // Group 7 counts four. Somebody comes who is in no group, beside three who name it: a fourth
    // member, or a stranger where the group is passed over and a member is not shown.
    let row =
        |id: u32, more: &str| format!("<Contact><Contact_id>{id}</Contact_id>{more}</Contact>");
    let group = "<Groups><Group><Group_id>7</Group_id></Group></Groups>";
    for heeded in [false, true] {
        let rows = [
            row(101, group),
            row(102, group),
            row(103, group),
            row(109, ""),
        ]
        .concat();
        let everybody = format!(
            "<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts></GetContactsResponse>"
        );
        let (crm, _) = adapter(move |asked, _| {
            let no_group = asked.xml().contains("group_id=\"999999999\"");
            let body = match (no_group, heeded) {
                (true, true) => error("GetContacts", "The group was not found."),
                _ => everybody.clone().into_bytes(),
            };
            (is_members(asked) || no_group).then_some((200, body))
        });
        let read = read(&crm, Role::Source).await.unwrap();
        assert_eq!(read.states("7").contains_key("109"), heeded);
        assert!(read.states("7").contains_key("101"));
        assert_eq!(read.why("7").contains("do not say which groups"), !heeded);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_refuses_an_empty_group_whose_question_for_refusers_is_answered_with_everybody() {
    let (crm, _) = adapter(|asked, _| {
        let refusers = asked.xml().contains("group_id=\"8\"") && asked.xml().contains("Unsubs");
        refusers.then(|| (200, fixture!("members.xml").to_vec()))
    });
    let read = read(&crm, Role::Source).await.unwrap();
    assert!(read.states("8").is_empty(), "{:?}", read.states("8"));
    assert!(read.why("8").contains("everybody"), "{}", read.why("8"));
}

fn two_groups() -> Vec<crate::model::GroupRow> {
    super::super::wire::groups(&fixture!("groups.xml")[..], "45429")
        .unwrap()
        .0
}

#[tokio::test(start_paused = true)]
async fn a_target_is_read_whole_unless_its_login_sees_a_part() {
    let (crm, log) = adapter(|_, _| None);
    let wanted = Role::Target { wanted: &[] };
    let read_whole = read(&crm, wanted).await.unwrap();
    assert_eq!(read_whole.snapshot.existence, Existence::Whole);
    assert!(
        read_whole.shelf.0.contains_key("105"),
        "people outside the groups have a profile too"
    );
    assert_eq!(
        read_whole.shelf.0["101"]["Zip"].to_string(),
        "01234",
        "the group's listing brought it"
    );
    assert!(
        log.all()
            .iter()
            .all(|asked| !asked.xml().contains("get_all"))
    );
    let (crm, _) = with_options(
        |_, _| None,
        GreenRopeCredential::Password(SecretString::from("hush")),
        true,
    );
    assert_eq!(
        read(&crm, Role::Target { wanted: &[] })
            .await
            .unwrap()
            .snapshot
            .existence,
        Existence::Unknown
    );
    let partial = self::crm(|asked| {
        let all = asked.xml() == "<GetContactsRequest account_id=\"45429\"></GetContactsRequest>";
        all.then_some(fixture!("opt_outs.xml").as_slice())
    });
    let read = read(&partial, Role::Target { wanted: &[] }).await.unwrap();
    assert_eq!(
        read.snapshot.existence,
        Existence::Unknown,
        "somebody of a group is missing from it"
    );
}

#[tokio::test(start_paused = true)]
async fn no_broken_listing_is_complete() {
    let good = fixture!("members.xml");
    let text = std::str::from_utf8(good).unwrap();
    let start = text.find("<Contacts>").unwrap();
    let mut broken: Vec<Vec<u8>> = vec![
        vec![],
        fixture!("page.html").to_vec(),
        fixture!("nobody.xml").to_vec(),
        format!("{}</GetContactsResponse>", &text[..start]).into_bytes(),
        text.replace(">3</Total", ">4</Total").into_bytes(),
        text.replace(">3</Total", ">2</Total").into_bytes(),
        text.replace("<Contact_id>103", "<Contact_id>101")
            .into_bytes(),
        text.replace("<Result>Success</Result>", "").into_bytes(),
        error("GetContacts", "No hit"),
        error("GetContacts", "You have no permission for this group"),
        // In the words of a login, which is good.
        error("GetContacts", "Unauthorized"),
        error("GetContacts", "Group 7 is password protected"),
    ];
    broken.extend(
        (1..good.len() - 2)
            .step_by(211)
            .map(|length| good[..length].to_vec()),
    );
    let broken = broken.into_iter().map(|body| (200, body));
    for (status, body) in broken.chain([(401, vec![]), (403, b"Forbidden".to_vec())]) {
        let shown = format!("{status}: {}", String::from_utf8_lossy(&body));
        let (crm, _) = adapter(move |asked, _| is_members(asked).then(|| (status, body.clone())));
        let read = read(&crm, Role::Source).await.unwrap();
        assert!(!read.is_complete("7"), "{shown}");
        let Reading::Incomplete(incomplete) = read.snapshot.listing("7").unwrap() else {
            panic!("complete")
        };
        assert!(
            incomplete.opt_outs_complete,
            "the group's opt-outs were read all the same"
        );
        assert_eq!(read.states("7")["104"], MembershipState::OptedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn no_broken_opt_out_listing_means_no_opt_outs() {
    let broken: [Vec<u8>; 6] = [
        vec![],
        fixture!("page.html").to_vec(),
        error("GetContacts", "Example text"),
        b"<GetContactsResponse><Result>Success</Result></GetContactsResponse>".to_vec(),
        fixture!("opt_outs.xml")[..200].to_vec(),
        b"<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>1</TotalMatchingContacts><Contacts/></GetContactsResponse>"
            .to_vec(),
    ];
    for body in broken {
        let group = body.clone();
        let (crm, _) = adapter(move |asked, _| {
            asked
                .xml()
                .contains("group_id=\"7\" Unsubscribed")
                .then(|| (200, group.clone()))
        });
        let read_group = read(&crm, Role::Source).await.unwrap();
        let Reading::Incomplete(incomplete) = read_group.snapshot.listing("7").unwrap() else {
            panic!("complete")
        };
        assert!(!incomplete.opt_outs_complete, "{}", read_group.why("7"));

        for filter in [
            "<GetContactsRequest account_id=\"45429\" Unsubscribed",
            "<GetContactsRequest account_id=\"45429\" Bounced",
        ] {
            let account = body.clone();
            let (crm, _) = adapter(move |asked, _| {
                asked
                    .xml()
                    .starts_with(filter)
                    .then(|| (200, account.clone()))
            });
            let read = read(&crm, Role::Source).await.unwrap();
            assert!(read.snapshot.account_state.complete().is_none(), "{filter}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_group_needs_a_count_of_zero() {
    // Group 8 counts nobody: an error about its members says the same, one about its opt-outs says
    // nothing.
    let (crm, _) = adapter(|asked, _| {
        (asked.xml().contains("group_id=\"8\"") && !asked.xml().contains("Unsubscribed"))
            .then(|| (200, error("GetContacts", "No hit")))
    });
    let read_empty = read(&crm, Role::Source).await.unwrap();
    assert!(read_empty.is_complete("8"), "{}", read_empty.why("8"));
    let (crm, _) = adapter(|asked, _| {
        asked
            .xml()
            .contains("group_id=\"8\" Unsub")
            .then(|| (200, error("GetContacts", "No hit")))
    });
    assert!(!read(&crm, Role::Source).await.unwrap().is_complete("8"));
    let (crm, _) = adapter(|asked, _| {
        let groups = std::str::from_utf8(fixture!("groups.xml")).unwrap();
        let uncounted = groups.replace("<TotalMatchingContacts>0</TotalMatchingContacts>", "");
        asked
            .xml()
            .starts_with("<GetGroups")
            .then(|| (200, uncounted.into_bytes()))
    });
    assert!(
        !read(&crm, Role::Source).await.unwrap().is_complete("8"),
        "without a count there is no proof"
    );
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_was_ignored_is_noticed() {
    // The whole account comes back for a group: those of other groups are not members.
    let crm = crm(|asked| {
        is_members(asked).then_some(
            br"<GetContactsResponse><Result>Success</Result><Contacts>
        <Contact><Contact_id>101</Contact_id><Groups><Group><Group_id>7</Group_id></Group></Groups></Contact>
        <Contact><Contact_id>109</Contact_id><Groups><Group><Group_id>8</Group_id></Group></Groups></Contact>
        <Contact><Contact_id>104</Contact_id><Groups><Group><Group_id>8</Group_id></Group></Groups></Contact>
        </Contacts></GetContactsResponse>"
                .as_slice(),
        )
    });
    let read_group = read(&crm, Role::Source).await.unwrap();
    assert!(!read_group.is_complete("7"));
    assert!(
        read_group.why("7").starts_with("1 contacts came"),
        "{}",
        read_group.why("7")
    );
    assert_eq!(
        read_group.states("7").keys().collect::<Vec<_>>(),
        ["101", "104"]
    );

    let crm = self::crm(|asked| {
        asked
            .xml()
            .starts_with("<GetContactsRequest account_id=\"45429\" Unsubscribed")
            .then_some(fixture!("account.xml").as_slice())
    });
    let read = read(&crm, Role::Source).await.unwrap();
    assert!(read.snapshot.account_state.complete().is_none());
    assert_eq!(
        read.status("101"),
        MemberStatus::Active,
        "nobody is taken for opted out by mistake"
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_opted_out_of_the_account_are_no_proof_that_a_group_was_asked() {
    let answer = |rows: &[&str]| {
        let rows = rows.concat();
        format!("<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts></GetContactsResponse>")
            .into_bytes()
    };
    // Whether the rows name their groups or not, and whoever of them is listed in the group.
    let silent = "<Contact><Contact_id>104</Contact_id><Unsubscribed>1</Unsubscribed></Contact>";
    let elsewhere = "<Contact><Contact_id>105</Contact_id><Unsubscribed>True</Unsubscribed><Groups><Group><Group_id>8</Group_id></Group></Groups></Contact>";
    let member = "<Contact><Contact_id>101</Contact_id><Unsubscribed>1</Unsubscribed></Contact>";
    for rows in [
        &[silent][..],
        &[elsewhere],
        &[member],
        &[silent, elsewhere, member],
    ] {
        for heeded in [false, true] {
            let account = answer(rows);
            let (crm, log) = adapter(move |asked, _| {
                let no_group = asked.xml().contains("group_id=\"999999999\"");
                let body = match (no_group, heeded) {
                    (true, true) => error("GetContacts", "The group was not found."),
                    _ => account.clone(),
                };
                asked.xml().contains("Unsubscribed=").then_some((200, body))
            });
            let read_group = read(&crm, Role::Source).await.unwrap();
            let why = read_group.why("7");
            let told = why.contains("answered with the account's");
            assert_eq!(told, !heeded, "{rows:?}: {why}");
            if let Reading::Incomplete(incomplete) = read_group.snapshot.listing("7").unwrap() {
                assert_eq!(incomplete.opt_outs_complete, heeded, "{rows:?}: {why}");
            } else {
                assert!(heeded, "{rows:?}: complete");
            }
            let asked = log.of("GetContacts").into_iter();
            let about_no_group =
                asked.filter(|asked| asked.xml().contains("group_id=\"999999999\" Unsubscribed"));
            assert_eq!(about_no_group.count(), 1, "once, however many groups");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_reads_listings_only_and_counts_anew() {
    let (crm, log) = adapter(|_, _| None);
    let before = read(&crm, Role::Source).await.unwrap();
    let asked = log.all().len();
    let read = read(&crm, Role::Check).await.unwrap();
    assert_eq!(read.states("7"), before.states("7"));
    assert!(read.is_complete("7"), "{}", read.why("7"));
    assert!(read.shelf.0.is_empty(), "no profiles");
    assert_eq!(
        log.all().len() - asked,
        1 + 1 + 4 + 1,
        "the groups, the groups again, two listings each, and whether groups are told apart"
    );
    let gone = crm.group("99").await.unwrap();
    assert!(gone.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_group_is_missing_only_from_a_whole_list() {
    let (crm, log) = adapter(|asked, _| {
        asked
            .xml()
            .contains("group_id")
            .then(|| (200, error("GetGroups", "No such group")))
    });
    assert_eq!(
        crm.group("8").await.unwrap().unwrap().id,
        "8",
        "the whole list has it"
    );
    assert!(crm.group("99").await.unwrap().is_none());
    assert_eq!(log.of("GetGroups").len(), 4);
    let (crm, _) = adapter(|asked, _| {
        asked
            .xml()
            .starts_with("<GetGroups")
            .then(|| (200, error("GetGroups", "Example text")))
    });
    assert!(crm.group("8").await.is_err());
    assert!(crm.groups(&|_, _| true).await.is_err());
    for body in [
        &b""[..],
        fixture!("page.html"),
        b"<GetGroupsResponse><Result>Success</Result></GetGroupsResponse>",
        fixture!("nobody.xml"),
    ] {
        let crm = self::crm(move |asked| asked.xml().starts_with("<GetGroups").then_some(body));
        assert!(crm.groups(&|_, _| true).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_account_must_be_within_reach() {
    let crm = crm(|asked| {
        asked.xml().starts_with("<GetAccounts").then_some(
            b"<GetAccountsWithAccessResponse><Result>Success</Result><Accounts><Account><AccountNumber>1</AccountNumber></Account></Accounts></GetAccountsWithAccessResponse>",
        )
    });
    let Err(ReadError::Account(sentence)) = crm.open().await else {
        panic!("another account")
    };
    assert!(
        sentence.contains("crm") && sentence.contains("45429"),
        "{sentence}"
    );
}

#[tokio::test(start_paused = true)]
async fn definitions_that_may_not_be_seen_are_unknown() {
    let (crm, _) = adapter(|_, _| None);
    assert!(crm.custom_fields().await.unwrap().known);
    let (crm, _) = adapter(|asked, _| {
        asked
            .xml()
            .starts_with("<GetUserDefined")
            .then(|| (200, error("GetUserDefinedFields", "You have no permission")))
    });
    assert!(!crm.custom_fields().await.unwrap().known);
}

/// Answers as long as the token is the given one.
fn token_is(asked: &Asked, token: &str) -> Option<Said> {
    (!asked.xml().starts_with("<GetAuthToken") && asked.field("auth_token") != token)
        .then(|| (200, error("GetGroups", "Your auth_token is not valid")))
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once() {
    let (crm, log) = adapter(|asked, number| {
        match number {
        1 => Some((200, b"<GetAuthTokenResponse><Result>Success</Result><Token>old</Token></GetAuthTokenResponse>".to_vec())),
        _ => token_is(asked, "t+1"),
    }
    });
    assert_eq!(crm.groups(&|_, _| true).await.unwrap().0.len(), 2);
    assert_eq!(
        (log.of("GetAuthToken").len(), log.of("GetGroups").len()),
        (2, 2)
    );

    let (crm, log) = adapter(|asked, _| token_is(asked, "never"));
    let Err(ReadError::Call(CallError::Denied { .. })) = crm.groups(&|_, _| true).await else {
        panic!("a fresh token is refused too")
    };
    assert_eq!(log.all().len(), 5, "it does not go on for ever");

    let fixed = GreenRopeCredential::Token(SecretString::from("fixed"));
    let (crm, log) = with_options(|asked, _| token_is(asked, "other"), fixed, false);
    let Err(ReadError::Call(CallError::Denied { .. })) = crm.groups(&|_, _| true).await else {
        panic!("a fixed token can't be renewed")
    };
    assert_eq!(
        log.all().len(),
        2,
        "the question, and whether the login is good"
    );

    let (crm, log) = adapter(|asked, number| {
        (number == 2 && asked.xml().starts_with("<GetGroups")).then(|| (401, vec![]))
    });
    assert_eq!(
        crm.groups(&|_, _| true).await.unwrap().0.len(),
        2,
        "HTTP 401 leads to a new login as well"
    );
    assert_eq!(log.of("GetAuthToken").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_gets_old() {
    let (crm, log) = adapter(|_, _| None);
    let minute = Duration::from_mins(1);
    for (more, logins) in [
        (Duration::ZERO, 1),
        (RENEW_AFTER.checked_sub(minute).unwrap(), 1),
        (2 * minute, 2),
        (10 * minute, 2),
    ] {
        tokio::time::advance(more).await;
        crm.groups(&|_, _| true).await.unwrap();
        assert_eq!(log.of("GetAuthToken").len(), logins, "after {more:?} more");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_any_wording_may_be_an_old_token() {
    let refuse = |asked: &Asked, number: usize| {
        (asked.xml().starts_with("<GetGroups") && number == 3)
            .then(|| (200, error("GetGroups", "Nope")))
    };
    let (crm, log) = adapter(refuse);
    crm.groups(&|_, _| true).await.unwrap();
    assert!(
        crm.groups(&|_, _| true).await.is_err(),
        "a young token is not to blame"
    );
    assert_eq!(log.of("GetAuthToken").len(), 1);
    let (crm, log) = adapter(refuse);
    crm.groups(&|_, _| true).await.unwrap();
    tokio::time::advance(DOUBTFUL_AFTER + Duration::from_mins(1)).await;
    crm.groups(&|_, _| true).await.unwrap();
    assert_eq!(log.of("GetAuthToken").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_people_whatever_their_spelling() {
    let (crm, _) = adapter(|_, _| None);
    let read = read(&crm, Role::Source).await.unwrap();
    let ana = read.names.find("101").unwrap();
    let member = read
        .snapshot
        .members
        .iter()
        .find(|member| member.id == ana)
        .unwrap();
    let address: Address = normalise_address("Ana@Example.org").unwrap();
    assert_eq!(read.names.text(member.address.unwrap()), address.as_str());
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_was_guessed_is_not_used() {
    let crm = crm(|asked| is_members(asked).then_some(fixture!("windows_1252.xml").as_slice()));
    let read = read(&crm, Role::Source).await.unwrap();
    assert!(!read.shelf.0.contains_key("101") && read.shelf.0.contains_key("102"));
    assert_eq!(
        read.states("7")["101"],
        MembershipState::Active,
        "the membership is beyond doubt"
    );
}

/// Nobody is added for it, none is carried as a refusal, and the record is named; whoever the account
/// lists among its opt-outs refuses whatever the record says.
#[tokio::test(start_paused = true)]
async fn a_flag_that_can_not_be_read_is_no_refusal_and_no_consent() {
    use MemberStatus::{Active, Held, OptedOut};

    let row = |id: u32, flag: &str| {
        format!(
            "<Contact><Contact_id>{id}</Contact_id><Email>p{id}@example.org</Email><Unsubscribed>{flag}</Unsubscribed><Groups><Group><Group_id>7</Group_id></Group></Groups></Contact>"
        )
    };
    let rows = row(201, "0") + &row(202, "&#xD83D;0") + &row(203, "\u{fffd}\u{1}&odd;");
    let answer = |rows: &str| {
        let body = format!(
            "<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts></GetContactsResponse>"
        );
        (200, body.into_bytes())
    };
    let refuser = row(203, "&#xD83D;1");
    let (crm, _) = adapter(move |asked, _| {
        let of_account = asked.xml().contains("\"45429\" Unsubscribed");
        match (is_members(asked), of_account) {
            (true, _) => Some(answer(&rows)),
            (_, true) => Some(answer(&refuser)),
            _ => None,
        }
    });
    let read = read(&crm, Role::Source).await.unwrap();
    let status = ["201", "202", "203"].map(|id| read.status(id));
    assert_eq!(status, [Active, Held, OptedOut]);
    assert_eq!(read.states("7")["202"], MembershipState::Active);
    let unreadable: Vec<&str> = read
        .snapshot
        .unreadable
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(unreadable, ["202", "203"]);
}

fn contacts(rows: &str) -> Vec<u8> {
    format!(
        "<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts></GetContactsResponse>"
    )
    .into_bytes()
}

/// It is among those who refuse, and so it refuses: nobody else has to wait for it. A contact without
/// the flag says as little as one of everybody would.
#[tokio::test(start_paused = true)]
async fn one_flag_that_can_not_be_read_among_the_opt_outs_is_no_doubt_about_the_others() {
    let row = |id: u32, flag: &str| {
        format!(
            "<Contact><Contact_id>{id}</Contact_id><Email>p{id}@example.org</Email>{flag}</Contact>"
        )
    };
    let flag = |text: &str| format!("<Unsubscribed>{text}</Unsubscribed>");
    let (yes, odd) = (flag("1"), flag("&#xD83D;1"));
    let trouble = "That date is not one of ours.";
    for (flags, words, is_whole) in [
        ([&yes, &odd], trouble, true),
        ([&yes, &flag("0")], "No contacts were found.", false),
        ([&odd, &flag("0")], trouble, false),
        ([&odd, &odd], trouble, false),
        ([&odd, &odd], "No contacts were found.", true),
        ([&yes, &String::new()], trouble, false),
        ([&yes, &String::new()], "No contacts were found.", true),
        ([&yes, &String::new()], "No right to see contacts", false),
    ] {
        let rows: String = (301..307).map(|id| row(id, flags[0])).collect();
        let rows = rows + &row(307, flags[1]);
        let (crm, _) = adapter(move |asked, _| {
            let xml = asked.xml();
            if xml.contains("Unsubscribed_startdate") {
                return Some((200, error("GetContacts", words)));
            }
            xml.contains("\"45429\" Unsubscribed")
                .then(|| (200, contacts(&rows)))
        });
        let read = read(&crm, Role::Source).await.unwrap();
        let whole = matches!(read.snapshot.account_state, Reading::Complete(_));
        assert_eq!(whole, is_whole, "{flags:?} {words}");
        if is_whole {
            assert_eq!(read.status("307"), MemberStatus::OptedOut, "{flags:?}");
        }
    }
}

/// Only contacts that show their groups, and that these are none, stand for a list of groups that
/// does not come: what is not shown, refused or contradicts itself proves nothing.
#[tokio::test(start_paused = true)]
async fn only_contacts_that_show_to_be_in_no_group_prove_an_account_without_groups() {
    use GroupsByPeople::{NoGroups, Nobody, Unsaid};

    let row = |id: &str, groups: &str| format!("<Contact>{id}{groups}</Contact>");
    let (one, two) = ("<Contact_id>1</Contact_id>", "<Contact_id>2</Contact_id>");
    let alone = row(one, "<Groups/>");
    let success = |rest: &str| {
        format!("<GetContactsResponse><Result>Success</Result>{rest}</GetContactsResponse>")
            .into_bytes()
    };
    for (answer, expected) in [
        (contacts(&alone), NoGroups),
        (
            contacts(&(alone.clone() + &row(two, "<Groups></Groups>"))),
            NoGroups,
        ),
        // To a login that sees nothing it looks the same.
        (
            success("<TotalMatchingContacts>0</TotalMatchingContacts>"),
            Nobody,
        ),
        (contacts(""), Nobody),
        (error("GetContacts", "No contacts were found."), Nobody),
        // The account does not show groups.
        (contacts(&row(one, "")), Unsaid),
        (contacts(&(alone.clone() + &row(two, ""))), Unsaid),
        // There are some.
        (
            contacts(
                &(alone.clone() + &row(two, "<Groups><Group><Name>News</Name></Group></Groups>")),
            ),
            Unsaid,
        ),
        (contacts(&row(one, "<Groups>News</Groups>")), Unsaid),
        (contacts(&row(one, "<Groups><Group/></Groups>")), Unsaid),
        (contacts(&row(one, "<Groups>&#xD83D;</Groups>")), Unsaid),
        // Some are missing, or nobody can tell whom they stand for.
        (
            success("<TotalMatchingContacts>500</TotalMatchingContacts><Contacts/>"),
            Unsaid,
        ),
        (contacts(&(alone.clone() + &row("", "<Groups/>"))), Unsaid),
        // Nobody looked.
        (error("GetContacts", "Try again later."), Unsaid),
        (
            error("GetContacts", "No contacts are visible to you"),
            Unsaid,
        ),
    ] {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (crm, _) = adapter(move |asked, _| {
            let all = asked.xml().starts_with("<GetContacts");
            all.then(|| (200, answer.clone()))
        });
        let shown = crm.groups_by_people().await.unwrap();
        assert_eq!(shown, expected, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_bounced_and_opted_out_is_opted_out() {
    let crm = crm(|asked| {
        asked
            .xml()
            .contains("\"45429\" Bounced")
            .then_some(fixture!("members.xml").as_slice())
    });
    let read = read(&crm, Role::Source).await.unwrap();
    assert_eq!(
        (read.status("101"), read.status("102")),
        (MemberStatus::Bounced, MemberStatus::OptedOut)
    );
    assert_eq!(read.snapshot.certificates["7"].bounced, 3);
}

#[tokio::test(start_paused = true)]
async fn a_long_listing_is_read_row_by_row() {
    let rows: String = (1..=5000).fold(String::new(), |rows, id| {
        rows + &format!("<Contact><Contact_id>{id}</Contact_id><Email>p{id}@example.org</Email><Bio>{}</Bio><Groups><Group><Group_id>7</Group_id></Group></Groups></Contact>", "x".repeat(300))
    });
    let body = format!(
        "<GetContactsResponse><Result>Success</Result><Contacts>{rows}</Contacts><TotalMatchingContacts>5000</TotalMatchingContacts></GetContactsResponse>"
    );
    let (crm, _) =
        adapter(move |asked, _| is_members(asked).then(|| (200, body.clone().into_bytes())));
    let read = read(&crm, Role::Source).await.unwrap();
    assert_eq!(
        read.snapshot.certificates["7"].distinct, 5000,
        "the opted-out person is one of them"
    );
    assert_eq!(read.states("7")["104"], MembershipState::OptedOut);
}

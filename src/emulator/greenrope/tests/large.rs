//! Answers that are too long for memory.

use super::*;
use crate::emulator::{Fault, FaultRule, Seed, populate};

#[tokio::test]
async fn long_answers_are_the_same_from_a_file_and_follow_every_change() {
    let emulator = emulator();
    let (email, token, number, group) = crm(&emulator, |account| {
        account.settings.greenrope = GreenRopeQuirks::mixed();
        let seed = Seed {
            members: 2000,
            groups: 2,
            ..Seed::default()
        };
        populate(account, &seed);
        let credentials = account.credentials();
        let group = account.find_group("Donors").unwrap();
        (
            credentials.email,
            credentials.token,
            account.number.clone(),
            group,
        )
    });
    let ask = async |xml: &str| {
        let fields = [("email", &*email), ("auth_token", &*token), ("xml", xml)];
        let response = send(&emulator, form_request(&fields)).await;
        let length = response.headers().get("content-length").cloned();
        let text = text_of(response).await;
        if let Some(length) = length {
            assert_eq!(length.to_str().unwrap(), text.len().to_string());
        }
        text
    };
    let of_group = format!("<GetContactsRequest group_id=\"{group}\"/>");
    let of_account = format!("<GetContactsRequest account_id=\"{number}\" do_lead_scoring=\"1\"/>");
    let nobody = "<GetContactsRequest email=\"nobody@example.org\"/>";
    for xml in [&of_group, &of_account, nobody] {
        let first = ask(xml).await;
        assert_eq!(first.len() > 1 << 20, xml != nobody);
        assert!(ask(xml).await == first, "{xml}: kept");
        // With a fault the answer is made as a whole, even with one that changes nothing.
        emulator.add_fault(FaultRule::every(Fault::WrongCount(0)));
        assert!(ask(xml).await == first, "{xml}: as a whole");
        emulator.clear_faults();
    }
    let before = ask(&of_account).await;
    let someone = crm(&emulator, |account| {
        account
            .contacts
            .values()
            .find(|contact| contact.get("title") == "Dr.")
            .unwrap()
            .id
    });
    let change = format!(
        "<EditContactsRequest><Contacts><Contact contact_id=\"{someone}\"><Lastname>Anew</Lastname></Contact></Contacts></EditContactsRequest>"
    );
    assert!(ask(&of_account).await == before);
    assert!(ask(&change).await.contains("Success"));
    assert!(
        ask(&of_account).await.contains("<Lastname>Anew</Lastname>"),
        "after a request"
    );
    crm(&emulator, |account| {
        account.change_contact(someone, [("last_name", "Older")], [])
    });
    assert!(
        ask(&of_account)
            .await
            .contains("<Lastname>Older</Lastname>"),
        "after an edit"
    );
    emulator.add_fault(FaultRule::every(Fault::SignUp).when(crate::emulator::When::Nth(1)));
    ask(nobody).await;
    assert!(ask(&of_account).await.contains("Newcomer"), "after a fault");
}

//! Somebody who asks to be forgotten.

use rosterd::state::Locks;

use super::bed::{Bed, JOB};

const DONOR: &str = "donor1@example.org";

/// Whether a text is in a file beside the config; a file that is not there holds nothing.
fn holds(bed: &Bed, file: &str, text: &str) -> bool {
    let bytes = std::fs::read(bed.path(file)).unwrap_or_default();
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

/// Fails where the state database or its log holds a text.
fn assert_gone(bed: &Bed, text: &str) {
    for file in ["rosterd.db", "rosterd.db-wal"] {
        assert!(!holds(bed, file, text), "{text} is in {file}");
    }
}

/// Whether the target has a contact with an address.
fn is_at_target(bed: &Bed, address: &str) -> bool {
    bed.account("mail", |mail| mail.contact_by_email(address).is_some())
}

#[test]
fn who_asks_before_any_reading_is_neither_added_nor_stored() {
    let bed = Bed::new();
    let ended = bed.line("forget Donor1@Example.org --yes --format json");
    ended.assert(0);
    let done = ended.json(&["path", "known", "removed", "copies", "left"]);
    assert_eq!(done["known"], false);
    assert_eq!(done["copies"], serde_json::json!([]));
    bed.sync();
    bed.sync();
    assert!(!is_at_target(&bed, DONOR));
    assert_eq!(bed.size("mail", "Donors"), 9, "all others are there");
    assert_gone(&bed, DONOR);
    bed.assert_settled();
}

#[test]
fn nothing_stays_of_somebody_who_is_still_at_the_source_and_had_another_address() {
    let bed = Bed::new();
    bed.sync();
    bed.line("backup copy.db").assert(0);
    let later = "moved-away@example.org";
    bed.account("crm", |crm| {
        let contact = crm.contact_by_email(DONOR).unwrap();
        crm.contacts.get_mut(&contact).unwrap().email = later.to_owned();
    });
    bed.sync();
    assert!(is_at_target(&bed, later));
    assert!(holds(&bed, "rosterd.db", DONOR) || holds(&bed, "rosterd.db-wal", DONOR));

    let ended = bed.line(&format!("forget {later} --yes"));
    ended.assert(0);
    assert!(
        ended.out.contains("Removed or emptied: links 2")
            && ended.out.contains("copy.db is a copy beside the database"),
        "{}",
        ended.out
    );
    let known = [DONOR, later];
    for text in known {
        assert!(!ended.err.contains(text), "{}", ended.err);
        assert_gone(&bed, text);
    }
    // Gone at the target, and still active at the source, under either address.
    bed.account("mail", |mail| {
        let contact = mail.contact_by_email(later).unwrap();
        mail.delete_contact(contact);
    });
    for address in [later, DONOR] {
        bed.account("crm", |crm| {
            let contact = crm
                .contacts
                .values_mut()
                .find(|contact| known.contains(&contact.email.as_str()));
            address.clone_into(&mut contact.unwrap().email);
        });
        bed.sync();
        for text in known {
            assert!(!is_at_target(&bed, text), "{text} was added");
            assert_gone(&bed, text);
        }
    }

    // A copy of before does not bring them back either.
    assert!(holds(&bed, "copy.db", DONOR));
    let ended = bed.line("restore copy.db --yes");
    ended.assert(0);
    assert!(
        ended
            .out
            .contains("1 person of the copy had been forgotten since, and was taken out."),
        "{}",
        ended.out
    );
    bed.sync();
    for text in known {
        assert!(!is_at_target(&bed, text), "{text} was added");
        assert_gone(&bed, text);
    }
    assert_eq!(bed.size("mail", "Donors"), 9, "all others are there");
}

#[test]
fn nobody_is_forgotten_unasked_or_under_a_run() {
    let bed = Bed::new();
    bed.sync();
    let ended = bed.line(&format!("forget {DONOR}"));
    let said = ended.complaint(3);
    assert!(
        said.contains("`--yes` answers") && !said.contains(DONOR),
        "{said}"
    );
    let locks = Locks::new(&bed.path("rosterd.db"));
    let run = locks.lock_job(JOB).unwrap();
    let ended = bed.line(&format!("forget {DONOR} --yes"));
    let said = ended.complaint(5);
    assert!(
        said.contains("`rosterd status`") && !said.contains(DONOR),
        "{said}"
    );
    drop(run);
    let ended = bed.line("forget donor1@@example.org --yes");
    let said = ended.complaint(2);
    assert!(!said.contains("donor1"), "{said}");
    assert!(
        holds(&bed, "rosterd.db", DONOR) || holds(&bed, "rosterd.db-wal", DONOR),
        "nothing was changed"
    );
}

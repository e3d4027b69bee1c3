//! Made-up names, places and groups for seeded worlds.

/// First and last names with the plain form used in addresses.
pub(super) const PEOPLE: [(&str, &str, &str); 24] = [
    ("Ana", "Sílvia-Reyes", "ana.silvia"),
    ("Bo", "Lindqvist", "bo.lindqvist"),
    ("Carla", "Núñez", "carla.nunez"),
    ("Dmitri", "Orlov", "dmitri.orlov"),
    ("Елена", "Смирнова", "elena.smirnova"),
    ("Femi", "Adéyẹmí", "femi.adeyemi"),
    ("Gökçe", "Yıldız", "gokce.yildiz"),
    ("花子", "山田", "hanako.yamada"),
    ("Ísold", "Þórsdóttir", "isold.thorsdottir"),
    ("Jürgen", "Weiß", "juergen.weiss"),
    ("Κώστας", "Παπαδάκης", "kostas.papadakis"),
    ("ليلى", "حداد", "layla.haddad"),
    ("Maeve", "O'Brannigan", "maeve.obrannigan"),
    ("नीरज", "शर्मा", "neeraj.sharma"),
    ("Odile", "de la Tour", "odile.delatour"),
    ("Piotr", "Wójcik", "piotr.wojcik"),
    ("Quỳnh", "Trần", "quynh.tran"),
    ("Rosa", "D'Amico", "rosa.damico"),
    ("שרה", "לוי", "sara.levi"),
    ("Tomáš", "Dvořák", "tomas.dvorak"),
    ("Ursula", "Zwingli", "ursula.zwingli"),
    ("Vérène", "Aubry & Fils", "verene.aubry"),
    ("伟", "陈", "wei.chen"),
    ("Zoë", "van der Berg", "zoe.vandenberg"),
];

/// Domains that never lead anywhere.
pub(super) const DOMAINS: [&str; 5] = [
    "example.org",
    "example.net",
    "example.com",
    "mail.test",
    "post.example",
];

/// City, state, zip code, country.
pub(super) const PLACES: [(&str, &str, &str, &str); 6] = [
    ("Springfield", "MA", "01234", "USA"),
    ("Coal City", "KS", "66002", "USA"),
    ("Rivertown", "NJ", "07030", "USA"),
    ("Musterstadt", "Sachsen", "01067", "Germany"),
    ("Villanueva", "Soria", "42003", "Spain"),
    ("San Ejemplo", "PR", "00901", "Puerto Rico"),
];

/// Companies.
pub(super) const COMPANIES: [&str; 6] = [
    "Example Society",
    "Sample & Sons",
    "Ünïcode GmbH",
    "Internal",
    "Acorn [West]",
    "",
];

/// Group names, the odd ones first so that small worlds have them.
pub(super) const GROUPS: [&str; 16] = [
    "Donors",
    "2024",
    "***2025 Volunteers",
    "[VIP] Patrons",
    "Board & Friends",
    "Música y más",
    "日本の友",
    "Newsletter",
    "007",
    "Members \"Gold\"",
    "Друзья",
    "Parents <18",
    "Alumni",
    "Staff",
    "Choir",
    "Garden club",
];

/// Time zones of groups.
pub(super) const ZONES: [&str; 3] = ["America/Chicago", "Europe/Berlin", "America/New_York"];

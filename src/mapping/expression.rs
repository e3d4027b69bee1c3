//! One compiled expression and the language it is written in.
//!
//! Only filters whose cost is bounded by their input are offered: an expression runs once per
//! person, on values that strangers typed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use compact_str::{CompactString, format_compact};
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{
    Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value as Dynamic, filters, tests,
};

use super::scan::{Mentions, scan};
use crate::model::{Record, Value};

/// The longest expression, in bytes; keeps nesting and results small.
pub(super) const MAX_EXPRESSION: usize = 4_000;

/// The longest text that a filter may make, in bytes; far above any field's maximum.
const MAX_TEXT: usize = 1_000_000;

/// The filters of the language, in alphabetical order.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lines",
    "lower",
    "max",
    "min",
    "replace",
    "reverse",
    "round",
    "sort",
    "split",
    "string",
    "title",
    "trim",
    "unique",
    "upper",
];

/// The tests of the language (`is …`), in alphabetical order.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(language);

fn language() -> Environment<'static> {
    let mut language = Environment::empty();
    language.set_undefined_behavior(UndefinedBehavior::Lenient);
    // Debug information would put record values into error texts.
    language.set_debug(false);
    language.add_filter("abs", filters::abs);
    language.add_filter("bool", filters::bool);
    language.add_filter("capitalize", filters::capitalize);
    language.add_filter("count", filters::length);
    language.add_filter("d", filters::default);
    language.add_filter("default", filters::default);
    language.add_filter("first", filters::first);
    language.add_filter("float", filters::float);
    language.add_filter("int", filters::int);
    language.add_filter("join", join);
    language.add_filter("last", filters::last);
    language.add_filter("length", filters::length);
    language.add_filter("lines", filters::lines);
    language.add_filter("lower", filters::lower);
    language.add_filter("max", filters::max);
    language.add_filter("min", filters::min);
    language.add_filter("replace", replace);
    language.add_filter("reverse", filters::reverse);
    language.add_filter("round", filters::round);
    language.add_filter("sort", filters::sort);
    language.add_filter("split", filters::split);
    language.add_filter("string", filters::string);
    language.add_filter("title", filters::title);
    language.add_filter("trim", filters::trim);
    language.add_filter("unique", filters::unique);
    language.add_filter("upper", filters::upper);
    language.add_test("boolean", tests::is_boolean);
    language.add_test("defined", tests::is_defined);
    language.add_test("endingwith", tests::is_endingwith);
    for name in ["eq", "equalto", "=="] {
        language.add_test(name, tests::is_eq);
    }
    language.add_test("even", tests::is_even);
    language.add_test("false", tests::is_false);
    language.add_test("float", tests::is_float);
    language.add_test("ge", tests::is_ge);
    for name in ["gt", "greaterthan"] {
        language.add_test(name, tests::is_gt);
    }
    language.add_test("in", tests::is_in);
    for name in ["int", "integer"] {
        language.add_test(name, tests::is_integer);
    }
    language.add_test("le", tests::is_le);
    language.add_test("lower", tests::is_lower);
    for name in ["lt", "lessthan"] {
        language.add_test(name, tests::is_lt);
    }
    language.add_test("mapping", tests::is_mapping);
    language.add_test("ne", tests::is_ne);
    language.add_test("none", tests::is_none);
    language.add_test("number", tests::is_number);
    language.add_test("odd", tests::is_odd);
    language.add_test("sequence", tests::is_sequence);
    language.add_test("startingwith", tests::is_startingwith);
    language.add_test("string", tests::is_string);
    language.add_test("true", tests::is_true);
    language.add_test("undefined", tests::is_undefined);
    language.add_test("upper", tests::is_upper);
    language
}

/// Replaces a text in a text; bounded, because replacements can be chained into one another.
fn replace(value: String, from: String, to: String) -> Result<String, Error> {
    let found = if from.is_empty() {
        value.chars().count() + 1
    } else {
        value.matches(&from).count()
    };
    if found.saturating_mul(to.len()).saturating_add(value.len()) > MAX_TEXT {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "the replaced text is too long",
        ));
    }
    Ok(value.replace(&from, &to))
}

/// Joins the items of a list; bounded like [`replace`].
fn join(value: Dynamic, joiner: Option<String>) -> Result<String, Error> {
    let joiner = joiner.unwrap_or_default();
    let mut joined = String::new();
    if value.is_undefined() || value.is_none() {
        return Ok(joined);
    }
    for (position, item) in value.try_iter()?.enumerate() {
        if position > 0 {
            joined.push_str(&joiner);
        }
        match item.as_str() {
            Some(text) => joined.push_str(text),
            None => write!(joined, "{item}").map_err(|_| {
                Error::new(ErrorKind::WriteFailure, "an item can't be shown as text")
            })?,
        }
        if joined.len() > MAX_TEXT {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "the joined text is too long",
            ));
        }
    }
    Ok(joined)
}

/// Why a text is not an expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxProblem {
    pub(super) message: String,
    pub(super) span: Option<Range<usize>>,
}

/// An expression that can be evaluated.
pub(super) struct Compiled {
    text: String,
    mentions: Mentions,
    expression: Expression<'static, 'static>,
}

impl Compiled {
    /// Compiles a text, and finds what it mentions.
    pub(super) fn new(text: &str) -> Result<Compiled, SyntaxProblem> {
        if text.trim().is_empty() {
            return Err(SyntaxProblem {
                message: "the expression is empty".to_owned(),
                span: None,
            });
        }
        if text.len() > MAX_EXPRESSION {
            return Err(SyntaxProblem {
                message: format!("the expression is longer than {MAX_EXPRESSION} bytes"),
                span: Some(0..text.len()),
            });
        }
        let expression = LANGUAGE
            .compile_expression_owned(text.to_owned())
            .map_err(|error| SyntaxProblem {
                message: format!(
                    "this is not an expression: {}",
                    error.detail().unwrap_or("it can't be read")
                ),
                span: error
                    .range()
                    .filter(|range| text.get(range.clone()).is_some()),
            })?;
        Ok(Compiled {
            text: text.to_owned(),
            mentions: scan(text),
            expression,
        })
    }

    /// Returns the text as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns what the expression mentions.
    pub(super) fn mentions(&self) -> &Mentions {
        &self.mentions
    }

    /// Returns the canonical names that are read, `custom.*` where a part is known only on
    /// evaluation.
    pub(super) fn reads(&self) -> BTreeSet<String> {
        let mut reads: BTreeSet<String> = self
            .mentions
            .parts
            .iter()
            .map(|(field, part)| format!("{field}.{}", part.name))
            .collect();
        for whole in &self.mentions.wholes {
            reads.insert(if whole.name == "custom" {
                "custom.*".to_owned()
            } else {
                whole.name.clone()
            });
        }
        reads
    }

    /// Evaluates the expression on a record.
    ///
    /// # Errors
    /// One sentence without the place, which the caller knows.
    pub(super) fn evaluate(&self, source: &Dynamic) -> Result<Dynamic, String> {
        self.expression
            .eval(minijinja::context! { source => source })
            .map_err(|error| explain(&error))
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Compiled").field(&self.text).finish()
    }
}

fn explain(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

/// A record as expressions see it: names with dots are nested, and the parts of `custom` are found
/// ignoring case.
#[derive(Debug)]
struct View {
    record: Arc<Record>,
    aliases: Arc<Aliases>,
    prefix: CompactString,
}

/// Other names of custom fields that expressions use: the name as written, and the canonical name.
pub(super) type Aliases = Vec<(String, String)>;

/// Makes a record visible to expressions.
pub(super) fn view(record: Record, aliases: &Arc<Aliases>) -> Dynamic {
    Dynamic::from_object(View {
        record: Arc::new(record),
        aliases: Arc::clone(aliases),
        prefix: CompactString::default(),
    })
}

impl View {
    fn find(&self, name: &str) -> Option<&Value> {
        let key = format_compact!("{}{name}", self.prefix);
        if let Some(value) = self.record.get(&key) {
            return Some(value);
        }
        if self.prefix != "custom." {
            return None;
        }
        if let Some((_, canonical)) = self.aliases.iter().find(|(alias, _)| alias == name) {
            return self.record.get(canonical.as_str());
        }
        let wanted = super::normal_label(name);
        self.record
            .range(self.prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(self.prefix.as_str()))
            .find(|(key, _)| super::normal_label(&key[self.prefix.len()..]) == wanted)
            .map(|(_, value)| value)
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Dynamic) -> Option<Dynamic> {
        let name = key.as_str()?;
        if let Some(value) = self.find(name) {
            return Some(dynamic(value));
        }
        let prefix = format_compact!("{}{name}.", self.prefix);
        let has_parts = self
            .record
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(key, _)| key.starts_with(prefix.as_str()));
        // These can always be asked for a part, so that a record without any reads as undefined
        // rather than as a failure.
        let is_map = self.prefix.is_empty()
            && matches!(name, "custom" | "permissions" | "limits" | "settings");
        (has_parts || is_map).then(|| {
            Dynamic::from_object(View {
                record: Arc::clone(&self.record),
                aliases: Arc::clone(&self.aliases),
                prefix,
            })
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self
            .record
            .keys()
            .filter_map(|key| key.strip_prefix(self.prefix.as_str()))
            .map(Dynamic::from)
            .collect();
        Enumerator::Values(names)
    }
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Boolean(flag) => Dynamic::from(*flag),
        Value::Integer(number) => Dynamic::from(*number),
        Value::Text(text) => Dynamic::from(text.as_str()),
        Value::List(items) => Dynamic::from(items.clone()),
    }
}

/// What an expression gave, in the words of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Undefined or none.
    Nothing,
    /// A value, perhaps an empty one.
    Value(Value),
    /// Something that no field holds, such as a map; in its textual form.
    Other(String),
}

/// Translates the result of an evaluation.
pub(super) fn given(result: &Dynamic) -> Given {
    match result.kind() {
        ValueKind::Undefined | ValueKind::None => Given::Nothing,
        ValueKind::Bool => Given::Value(Value::Boolean(result.is_true())),
        ValueKind::Number => Given::Value(number(result)),
        ValueKind::String => Given::Value(Value::from(result.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            items(result).map_or_else(|| Given::Other("a nested list".to_owned()), Given::Value)
        }
        ValueKind::Map | ValueKind::Plain => Given::Other("a map".to_owned()),
        kind => Given::Other(kind.to_string()),
    }
}

fn number(result: &Dynamic) -> Value {
    if let Some(whole) = result.as_i64() {
        return Value::Integer(whole);
    }
    // Text, because no field holds a fraction; a whole number beyond 64 bits keeps its digits as
    // well.
    Value::from(result.to_string())
}

fn items(result: &Dynamic) -> Option<Value> {
    let mut items = Vec::new();
    for item in result.try_iter().ok()? {
        match given(&item) {
            Given::Nothing => {}
            Given::Value(Value::List(_)) | Given::Other(_) => return None,
            Given::Value(value) => items.push(value.to_string()),
        }
    }
    Some(Value::List(items))
}

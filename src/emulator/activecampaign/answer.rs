//! The flat envelope of version 1, and its messages.

use serde_json::{Map, Value, json};

use super::page::Format;

/// A successful answer: what stands beside the envelope's own keys, and the message.
pub(super) struct Good {
    pub(super) fields: Map<String, Value>,
    pub(super) message: &'static str,
}

/// What a version 1 call comes to; a failure is a message and nothing else.
pub(super) type Answer = Result<Good, String>;

/// What unknown ids, empty listings and missing ids all come to.
pub(super) const NOTHING: &str = "Failed: Nothing is returned";

/// A listing or view; one without anything in it is a failure.
pub(super) fn found(fields: Map<String, Value>) -> Answer {
    if fields.is_empty() {
        Err(NOTHING.to_owned())
    } else {
        Ok(Good {
            fields,
            message: "Success: Something is returned",
        })
    }
}

/// A listing, whose rows stand under their positions.
pub(super) fn rows(rows: impl IntoIterator<Item = Value>) -> Answer {
    found(
        rows.into_iter()
            .enumerate()
            .map(|(position, row)| (position.to_string(), row))
            .collect(),
    )
}

/// An object, whose fields stand beside the envelope's own keys.
pub(super) fn object(value: Option<Value>) -> Answer {
    match value {
        Some(Value::Object(fields)) => found(fields),
        _ => Err(NOTHING.to_owned()),
    }
}

/// A success with nothing beside the message.
#[expect(clippy::unnecessary_wraps, reason = "the ends of calls read alike")]
pub(super) fn done(message: &'static str) -> Answer {
    Ok(Good {
        fields: Map::new(),
        message,
    })
}

/// A success with some fields.
#[expect(clippy::unnecessary_wraps, reason = "the ends of calls read alike")]
pub(super) fn done_with(message: &'static str, fields: Value) -> Answer {
    let fields = if let Value::Object(fields) = fields {
        fields
    } else {
        Map::new()
    };
    Ok(Good { fields, message })
}

/// The whole answer.
pub(super) fn envelope(
    (fields, message): (Option<Map<String, Value>>, String),
    format: Format,
) -> Value {
    let code = u8::from(fields.is_some());
    let mut answer = fields.unwrap_or_default();
    answer.insert("result_code".to_owned(), json!(code));
    answer.insert("result_message".to_owned(), json!(message));
    let output = match format {
        Format::Json | Format::JsonAsHtml => "json",
        Format::Xml(_) => "xml",
        Format::Serialize => "serialize",
    };
    answer.insert("result_output".to_owned(), json!(output));
    Value::Object(answer)
}

/// A message in the language of the account.
pub(super) fn translate(message: &str, portuguese: bool) -> String {
    if !portuguese {
        return message.to_owned();
    }
    let translated = match message {
        NOTHING => "Falhou: não se obteu qualquer resultado",
        "Success: Something is returned" => "Sucesso:algo retornou",
        "Contact added" => "Contato adicionado",
        "Contact updated" => "Contato atualizado",
        "Contact deleted" => "Contato excluído",
        "Contact tag added" => "Etiqueta do contato adicionada",
        "Contact tag deleted" => "Etiqueta do contato excluída",
        "Contact Email Address is not valid." => "O endereço de e-mail do contato não é válido.",
        "List added" => "Lista adicionada",
        "List updated" => "Lista atualizada",
        "List deleted" => "Lista excluída",
        "Group added" => "Grupo adicionado",
        "Group updated" => "Grupo atualizado",
        "Group deleted" => "Grupo excluído",
        "User added" => "Usuário adicionado",
        "User updated" => "Usuário atualizado",
        "User deleted" => "Usuário excluído",
        "You do not have permission to do that." => "Você não tem permissão para fazer isso.",
        "You are not authorized to access this file" => {
            "Você não está autorizado a acessar este arquivo"
        }
        "Please provide a password." => "Por favor, informe uma senha.",
        "Sender Information is required and needs to be entered." => {
            "As informações do remetente são obrigatórias."
        }
        other => other,
    };
    translated.to_owned()
}

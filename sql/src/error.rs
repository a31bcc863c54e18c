//! Errors of DataFusion as errors of the engine and back.

use arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};
use elanus_engine::core::error::{Error, ErrorKind, Subject, nearest_name};
use elanus_engine::core::schema::DYNAMIC_FIELD;

use crate::functions;

/// Wraps an error of the engine so that it passes through DataFusion unchanged;
/// [`from_datafusion`] takes it out again.
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The engine's error for an error of DataFusion: the engine's own one where that is the cause,
/// else one whose kind says whether the statement, the limits or we are at fault.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(own) = own_error(&error) {
        return own.clone();
    }
    classify(&error)
}

/// The engine's error inside, however deeply it is wrapped.
fn own_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    if let Some(own) = error.downcast_ref::<Error>() {
        return Some(own);
    }
    if let Some(e) = error.downcast_ref::<DataFusionError>() {
        return match e {
            DataFusionError::ArrowError(e, _) => own_error(e.as_ref()),
            DataFusionError::External(e) => own_error(e.as_ref()),
            DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => {
                own_error(e.as_ref())
            }
            DataFusionError::Shared(e) => own_error(e.as_ref()),
            DataFusionError::Collection(all) => all.iter().find_map(|e| own_error(e)),
            _ => None,
        };
    }
    match error.downcast_ref::<ArrowError>() {
        Some(ArrowError::ExternalError(e)) => own_error(e.as_ref()),
        _ => None,
    }
}

fn classify(error: &DataFusionError) -> Error {
    let invalid = |text: &str| Error::invalid(Subject::Expression, clean(text));
    match error {
        DataFusionError::SQL(e, _) => {
            let text = e.to_string();
            let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
            invalid(&format!("cannot parse the SQL: {text}"))
        }
        DataFusionError::SchemaError(e, _) => schema_error(e),
        DataFusionError::Plan(text)
        | DataFusionError::Configuration(text)
        | DataFusionError::Execution(text) => invalid(text),
        DataFusionError::NotImplemented(text) => Error::unsupported(
            Subject::Expression,
            format!("not supported in SQL: {}", clean(text)),
        ),
        DataFusionError::ArrowError(e, _) => arrow_error(e),
        DataFusionError::ResourcesExhausted(text) => Error::limit(
            Subject::Request,
            format!("the statement needs more memory than SQL may use: {}", clean(text)),
        ),
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => classify(e),
        DataFusionError::Shared(e) => classify(e),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => classify(first),
            None => Error::internal("SQL: a list of errors that is empty"),
        },
        DataFusionError::External(e) => match e.downcast_ref::<DataFusionError>() {
            Some(inner) => classify(inner),
            None => Error::internal(format!("SQL: {e}")),
        },
        DataFusionError::IoError(e) => {
            Error::new(ErrorKind::Storage, Subject::Store, format!("SQL: {e}"))
        }
        other => Error::internal(format!("SQL: {}", clean(&other.strip_backtrace()))),
    }
}

/// Arrow fails on values (casts, arithmetic): the statement or the data is at fault.
fn arrow_error(error: &ArrowError) -> Error {
    let text = match error {
        ArrowError::CastError(text)
        | ArrowError::ParseError(text)
        | ArrowError::ComputeError(text)
        | ArrowError::ArithmeticOverflow(text)
        | ArrowError::InvalidArgumentError(text) => text.clone(),
        ArrowError::DivideByZero => "division by zero".to_string(),
        ArrowError::ExternalError(e) => match e.downcast_ref::<DataFusionError>() {
            Some(inner) => return classify(inner),
            None => return Error::internal(format!("SQL: {e}")),
        },
        other => return Error::internal(format!("SQL: {other}")),
    };
    Error::invalid(Subject::Expression, clean(&text))
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            Error::invalid(Subject::Field, unknown_column(field, valid_fields))
        }
        other => Error::invalid(Subject::Expression, clean(&other.to_string())),
    }
}

fn unknown_column(asked: &Column, known: &[Column]) -> String {
    let mut text = format!("no column is named \"{}\"", asked.name);
    let mut names: Vec<&str> = Vec::new();
    for column in known {
        if !names.contains(&column.name.as_str()) {
            names.push(&column.name);
        }
    }
    if let Some(near) = nearest_name(&asked.name, names.iter().copied()) {
        text.push_str(&format!("; did you mean \"{near}\"?"));
    } else if !names.is_empty() {
        text.push_str(&format!("; there are {}", names.join(", ")));
    }
    if names.contains(&DYNAMIC_FIELD) {
        text.push_str(&format!(
            ". A dynamic field is read with json_get_str(\"{DYNAMIC_FIELD}\", '{}')",
            asked.name
        ));
    }
    text
}

/// The text without the frame that DataFusion puts around it, in one line.
fn clean(text: &str) -> String {
    let mut text = text.trim();
    for frame in [
        "Error during planning: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "External error: ",
        "Arrow error: ",
        "Unsupported SQL statement: ",
    ] {
        text = text.strip_prefix(frame).unwrap_or(text);
    }
    if let Some(name) = text.strip_prefix("Invalid function '") {
        return unknown_function(name.split('\'').next().unwrap_or(name));
    }
    text.lines().collect::<Vec<_>>().join(" ").replace("While expanding wildcard, column", "column")
}

fn unknown_function(asked: &str) -> String {
    let ours = functions::names();
    let near = nearest_name(asked, ours.iter().copied())
        .or_else(|| ours.iter().copied().find(|n| n.starts_with(asked) || asked.starts_with(n)));
    match near {
        Some(near) => format!("there is no function {asked}; did you mean {near}?"),
        None => format!("there is no function {asked}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_engine_survives_the_way_through_datafusion() {
        let own = Error::not_found(Subject::Collection, "no such thing");
        let inner = to_datafusion(own).context("doing this").context("and that");
        let arrow = ArrowError::ExternalError(Box::new(inner));
        let back = from_datafusion(DataFusionError::from(arrow));
        assert_eq!((back.kind, back.subject), (ErrorKind::NotFound, Subject::Collection));
        assert_eq!(back.message(), "no such thing");
    }

    #[test]
    fn the_frame_of_datafusion_is_taken_off() {
        let inner = DataFusionError::Plan("Error during planning: bad".into());
        let back = from_datafusion(inner.context("rule"));
        assert_eq!((back.kind, back.message()), (ErrorKind::InvalidRequest, "bad"));
    }

    #[test]
    fn an_unknown_column_gets_a_hint() {
        let known = ["id", "price", "$meta"].map(Column::from_name).to_vec();
        let text = unknown_column(&Column::from_name("pric"), &known);
        assert!(text.contains("did you mean \"price\"?"), "{text}");
        assert!(text.contains("json_get_str(\"$meta\", 'pric')"), "{text}");
    }
}

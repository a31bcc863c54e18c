//! Functions of a schema: Milvus's message and the engine's type, with the checks that need no data.

use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema, FunctionSchema};
use elanus_engine::core::text::FieldAnalyzer;
use elanus_proto::schema::{self, FunctionType};

use super::schema::wire_type;
use super::{invalid, params};
use crate::status::Failure;

/// Adds a function to a schema that has its fields.
///
/// # Errors
/// If its fields do not fit, or it is of a type that is not built: only BM25's are kept.
pub fn add(schema: &mut CollectionSchema, wire: &schema::FunctionSchema) -> Result<(), Failure> {
    if wire.name.is_empty() {
        return Err(invalid("function name cannot be empty"));
    }
    if schema.functions.iter().any(|f| f.name == wire.name) {
        return Err(invalid(format!("duplicate function name: {}", wire.name)));
    }
    match wire.r#type() {
        FunctionType::Bm25 => check_bm25(schema, wire)?,
        FunctionType::Unknown => {
            return Err(invalid(format!("unknown type of function {}", wire.name)));
        }
        other => {
            return Err(Failure::unsupported(format!(
                "function {} of type {} is not supported, only BM25 is",
                wire.name,
                other.as_str_name()
            )));
        }
    }
    schema.functions.push(FunctionSchema {
        id: 0,
        name: wire.name.clone(),
        description: wire.description.clone(),
        kind: wire.r#type,
        inputs: wire.input_field_names.clone(),
        outputs: wire.output_field_names.clone(),
        params: params::to_map(&wire.params),
    });
    schema.number_fields();
    schema.mark_outputs();
    Ok(())
}

/// The analyzer of a field's text.
///
/// # Errors
/// If its parameters are wrong, or ask for what is not built.
pub fn analyzer(field: &FieldSchema) -> Result<FieldAnalyzer, Failure> {
    FieldAnalyzer::of(field).map_err(|fault| match fault.unsupported {
        true => Failure::unsupported(fault.why),
        false => invalid(fault.why),
    })
}

/// Checks the parameters of all analyzers of a schema.
pub fn check_analyzers(schema: &CollectionSchema) -> Result<(), Failure> {
    for field in &schema.fields {
        let on = |key: &str| field.params.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if on("enable_match") && !on("enable_analyzer") {
            return Err(must_analyze(field));
        }
        if !on("enable_analyzer") {
            continue;
        }
        if let FieldAnalyzer::By { field: by, .. } = analyzer(field)? {
            let known = schema.fields.iter().find(|f| f.name == by);
            let known = known.ok_or_else(|| {
                invalid(format!("multi analyzer dependent field {by} not exist in collection"))
            })?;
            if !matches!(known.data_type, DataType::VarChar { .. }) {
                return Err(invalid(format!(
                    "multi analyzer dependent field {by} is not a string"
                )));
            }
            if on("enable_match") {
                return Err(invalid(
                    "multi analyzer now only support for bm25, but now field has enable match",
                ));
            }
        }
    }
    Ok(())
}

fn must_analyze(field: &FieldSchema) -> Failure {
    invalid(format!(
        "field {} which has enable_match or is input of BM25 function must also enable_analyzer",
        field.name
    ))
}

/// The messages of a schema's functions.
pub fn to_wire(schema: &CollectionSchema) -> Vec<schema::FunctionSchema> {
    let id = |name: &String| schema.fields.iter().find(|f| f.name == *name).map_or(0, |f| f.id);
    let message = |function: &FunctionSchema| schema::FunctionSchema {
        name: function.name.clone(),
        id: function.id,
        description: function.description.clone(),
        r#type: function.kind,
        input_field_names: function.inputs.clone(),
        input_field_ids: function.inputs.iter().map(id).collect(),
        output_field_names: function.outputs.clone(),
        output_field_ids: function.outputs.iter().map(id).collect(),
        params: params::to_pairs(&function.params),
    };
    schema.functions.iter().map(message).collect()
}

fn check_bm25(schema: &CollectionSchema, wire: &schema::FunctionSchema) -> Result<(), Failure> {
    let one = |names: &[String], what: &str| match names {
        [name] => Ok(name.clone()),
        many => Err(invalid(format!(
            "BM25 function {} needs exactly one {what} field, but got {}",
            wire.name,
            many.len()
        ))),
    };
    let field = |name: &str, what: &str| -> Result<&FieldSchema, Failure> {
        schema.fields.iter().find(|f| f.name == name).ok_or_else(|| {
            invalid(format!("function {what} field not found: {name} of function {}", wire.name))
        })
    };
    let input = field(&one(&wire.input_field_names, "input")?, "input")?;
    let output = field(&one(&wire.output_field_names, "output")?, "output")?;
    if !matches!(wire_type(&input.data_type).as_str_name(), "VarChar" | "Text") {
        return Err(invalid(format!(
            "BM25 function input field must be a VARCHAR/TEXT field, got {}",
            wire_type(&input.data_type).as_str_name()
        )));
    }
    if input.params.get("enable_analyzer").is_none_or(|v| !v.eq_ignore_ascii_case("true")) {
        return Err(must_analyze(input));
    }
    if output.data_type != DataType::SparseFloatVector {
        return Err(invalid(format!(
            "BM25 function output field must be a SparseFloatVector field, but got {}",
            wire_type(&output.data_type).as_str_name()
        )));
    }
    if output.nullable {
        return Err(invalid(format!(
            "function output field cannot be nullable: function {}, field {}",
            wire.name, output.name
        )));
    }
    if output.is_function_output {
        return Err(invalid(format!(
            "function output field {} is already of other functions",
            output.name
        )));
    }
    match wire.params.first() {
        Some(param) => {
            Err(invalid(format!("BM25 function accepts no params, but got {}", param.key)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> CollectionSchema {
        let text = DataType::VarChar { max_length: 100 };
        let mut analysed = FieldSchema::new("t", text.clone());
        analysed.params.insert("enable_analyzer".into(), "true".into());
        CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            analysed,
            FieldSchema::new("plain", text),
            FieldSchema::new("s", DataType::SparseFloatVector),
        ])
    }

    fn function(input: &str, output: &str) -> schema::FunctionSchema {
        schema::FunctionSchema {
            name: "bm25".into(),
            r#type: FunctionType::Bm25.into(),
            input_field_names: vec![input.into()],
            output_field_names: vec![output.into()],
            ..Default::default()
        }
    }

    #[test]
    fn a_function_comes_back_with_ids_and_marks_its_output() -> Result<(), Failure> {
        let mut schema = schema();
        add(&mut schema, &function("t", "s"))?;
        assert!(schema.fields.iter().all(|f| f.is_function_output == (f.name == "s")));
        let back = to_wire(&schema);
        assert_eq!(back.len(), 1);
        let expected = schema::FunctionSchema {
            id: 100,
            input_field_ids: vec![101],
            output_field_ids: vec![103],
            ..function("t", "s")
        };
        assert_eq!(back.first(), Some(&expected));
        assert!(add(&mut schema, &function("t", "s")).is_err());
        Ok(())
    }

    #[test]
    fn functions_whose_fields_do_not_fit_are_refused() {
        let reason = |f: schema::FunctionSchema| {
            add(&mut schema(), &f).err().map(|f| f.reason).unwrap_or_default()
        };
        for (input, output, words) in [
            ("x", "s", "function input field not found: x"),
            ("id", "s", "must be a VARCHAR/TEXT field, got Int64"),
            ("plain", "s", "must also enable_analyzer"),
            ("t", "id", "must be a SparseFloatVector field, but got Int64"),
        ] {
            assert!(reason(function(input, output)).contains(words), "{input} {output}");
        }
        let kind = FunctionType::TextEmbedding.into();
        let other = schema::FunctionSchema { r#type: kind, ..function("t", "s") };
        assert_eq!(add(&mut schema(), &other).err().map(|f| f.code), Some(10));
    }
}

//! Schema changes after creation: fields and functions added and dropped in one call of 3.0's form.

use elanus_engine::api::{Collection, CollectionInfo};
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, FieldSchema, FunctionSchema};
use elanus_proto::schema::{self, FunctionType};
use elanus_proto::service::alter_collection_schema_request::{
    Action, AddRequest, DropRequest, action::Op, drop_request::Identifier,
};
use elanus_proto::service::{
    AddCollectionFunctionRequest, AlterCollectionFunctionRequest, AlterCollectionSchemaRequest,
    AlterCollectionSchemaResponse, DropCollectionFunctionRequest,
};

use super::{collection, index, struct_field};
use crate::context::Context;
use crate::convert::{self, functions, invalid};
use crate::proxy::schema_limits;
use crate::status::{Failure, ok_status};

/// Adds a field, or a function with its output fields; or drops one of these.
pub async fn alter_schema(
    ctx: &Context,
    database: &str,
    request: AlterCollectionSchemaRequest,
) -> Result<AlterCollectionSchemaResponse, Failure> {
    let name = &request.collection_name;
    let found = collection::find(ctx, database, name, request.collection_id)?;
    match request.action.and_then(|action: Action| action.op) {
        Some(Op::AddRequest(add)) => add_all(ctx, database, &found, add).await?,
        Some(Op::DropRequest(drop)) => drop_one(&found, drop).await?,
        None => return Err(invalid("an action to alter the schema is needed: add or drop")),
    }
    Ok(AlterCollectionSchemaResponse { alter_status: Some(ok_status()) })
}

async fn add_all(
    ctx: &Context,
    database: &str,
    found: &Collection,
    add: AddRequest,
) -> Result<(), Failure> {
    let [function] = add.func_schema.as_slice() else {
        if !add.func_schema.is_empty() {
            return Err(invalid("only one function can be added at a time"));
        }
        let [info] = add.field_infos.as_slice() else {
            return Err(invalid("exactly one field can be added at a time"));
        };
        let field = info.field_schema.clone();
        let field = field.ok_or_else(|| invalid("the field to add is missing"))?;
        collection::add_one_field(ctx, found, field).await?;
        return index_of(ctx, database, found, info).await;
    };
    if found.stats().rows_stored > 0 {
        return Err(Failure::unsupported(
            "adding a function to a collection with rows is not supported: its output of the rows \
             that are there would have to be made",
        ));
    }
    let mut fields = Vec::with_capacity(add.field_infos.len());
    for wire in add.field_infos.iter().filter_map(|info| info.field_schema.as_ref()) {
        fields.push(output_field(ctx, &found.info(), wire)?);
    }
    let limits = &ctx.engine.settings().limits;
    let made = with_function(&found.schema(), &fields, function)?;
    schema_limits::check(&made, limits)?;
    let outputs = function.output_field_names.clone();
    let change = move |schema: &mut CollectionSchema| {
        let next = with_function(schema, &fields, function)
            .map_err(|f| elanus_engine::core::error::Error::internal(f.reason))?;
        *schema = next;
        Ok(())
    };
    found.add_function(change, &outputs).await?;
    for info in &add.field_infos {
        index_of(ctx, database, found, info).await?;
    }
    Ok(())
}

/// Makes the index that came with an added field.
async fn index_of(
    ctx: &Context,
    database: &str,
    found: &Collection,
    info: &elanus_proto::service::alter_collection_schema_request::FieldInfo,
) -> Result<(), Failure> {
    let Some(field) = info.field_schema.as_ref().filter(|_| !info.extra_params.is_empty()) else {
        return Ok(());
    };
    let request = elanus_proto::service::CreateIndexRequest {
        collection_name: found.name(),
        field_name: field.name.clone(),
        index_name: info.index_name.clone(),
        extra_params: info.extra_params.clone(),
        ..Default::default()
    };
    index::create(ctx, database, request).await
}

fn output_field(
    ctx: &Context,
    info: &CollectionInfo,
    wire: &schema::FieldSchema,
) -> Result<FieldSchema, Failure> {
    let mut field = convert::schema::field_from_wire(&info.name, wire)?;
    schema_limits::check_field(&info.schema, &field, &ctx.engine.settings().limits)?;
    field.id = 0;
    Ok(field)
}

/// The schema with new fields and a function that fills them.
fn with_function(
    before: &CollectionSchema,
    fields: &[FieldSchema],
    function: &schema::FunctionSchema,
) -> Result<CollectionSchema, Failure> {
    let mut schema = before.clone();
    for field in fields {
        if schema.has_field(&field.name) {
            return Err(invalid(format!("duplicated field name {}", field.name)));
        }
        if !function.output_field_names.contains(&field.name) {
            return Err(invalid(format!(
                "field {} is no output of function {}: add it by itself",
                field.name, function.name
            )));
        }
        schema.fields.push(field.clone());
    }
    schema.number_fields();
    functions::add(&mut schema, function)?;
    Ok(schema)
}

async fn drop_one(found: &Collection, drop: DropRequest) -> Result<(), Failure> {
    let schema = found.schema();
    let name = match drop.identifier {
        Some(Identifier::FieldName(name)) if !name.is_empty() => name,
        Some(Identifier::FieldId(id)) if id > 0 => {
            let field = schema.fields.iter().find(|f| f.id == id).map(|f| &f.name);
            let own = || schema.structs.iter().find(|s| s.id == id).map(|s| &s.name);
            field.or_else(own).ok_or_else(|| invalid(format!("field not found: {id}")))?.clone()
        }
        Some(Identifier::FunctionName(name)) if !name.is_empty() => {
            return drop_function(found, &name, drop.drop_function_output_fields).await;
        }
        _ => {
            return Err(invalid(
                "Must specify exactly one valid Drop identifier \
                 (drop_field_name/drop_field_id/drop_function_name)",
            ));
        }
    };
    if schema.struct_named(&name).is_some() {
        return Ok(found.drop_struct(&name).await?);
    }
    struct_field::check_sub_field(&name)?;
    check_drop(found, &schema, &name)?;
    Ok(found.drop_field(&name).await?)
}

/// Refuses what cannot be dropped, in Milvus's words.
fn check_drop(found: &Collection, schema: &CollectionSchema, name: &str) -> Result<(), Failure> {
    if name == DYNAMIC_FIELD && schema.enable_dynamic_field {
        return Err(invalid(format!(
            "cannot drop dynamic field: {name}, use AlterCollection to disable dynamic schema instead"
        )));
    }
    let field = schema.fields.iter().find(|f| f.name == name);
    let field = field.ok_or_else(|| invalid(format!("field not found: {name}")))?;
    if found.ttl_field().as_deref() == Some(name) {
        return Err(invalid(format!(
            "cannot drop field {name} because it is referenced by collection property ttl_field, \
             drop the property first"
        )));
    }
    let last_vector = field.data_type.is_vector() && schema.searched_fields().count() == 1;
    for (wrong, what) in [
        (field.is_primary, "primary key field"),
        (field.is_partition_key, "partition key field"),
        (field.is_clustering_key, "clustering key field"),
        (last_vector, "the last vector field"),
    ] {
        if wrong {
            return Err(invalid(format!("cannot drop {what}: {name}")));
        }
    }
    let uses = |names: &[String]| names.iter().any(|n| n == name);
    for function in &schema.functions {
        for (names, role) in [(&function.inputs, "input"), (&function.outputs, "output")] {
            if uses(names) {
                return Err(invalid(format!(
                    "field is referenced by function {} as {role}, drop function first",
                    function.name
                )));
            }
        }
    }
    Ok(())
}

async fn drop_function(found: &Collection, name: &str, with_fields: bool) -> Result<(), Failure> {
    let schema = found.schema();
    let function = find_function(&schema, name)?;
    if !with_fields {
        return Err(only_with_fields(function));
    }
    let vectors = schema.vector_fields().filter(|f| !function.outputs.contains(&f.name)).count();
    if vectors == 0 {
        return Err(invalid(format!(
            "cannot drop function {name}: it would leave no vector field in the collection"
        )));
    }
    Ok(found.drop_function(name).await?)
}

fn find_function<'a>(
    schema: &'a CollectionSchema,
    name: &str,
) -> Result<&'a FunctionSchema, Failure> {
    let known = schema.functions.iter().find(|f| f.name == name);
    known.ok_or_else(|| invalid(format!("function not found: {name}")))
}

fn only_with_fields(function: &FunctionSchema) -> Failure {
    invalid(format!(
        "BM25 function must be dropped with its output field in drop_function_field interface: {}",
        function.name
    ))
}

/// Adds a function over fields that are there: none of the kinds that are built allows it.
pub async fn add_function(
    ctx: &Context,
    database: &str,
    request: AddCollectionFunctionRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    let function = request.function_schema.unwrap_or_default();
    if function.r#type() == FunctionType::Bm25 {
        return Err(invalid("currently does not support adding BM25 function"));
    }
    functions::add(&mut CollectionSchema::clone(&found.schema()), &function)
}

/// Changes a function: none of the kinds that are built allows it.
pub async fn alter_function(
    ctx: &Context,
    database: &str,
    request: AlterCollectionFunctionRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    find_function(&found.schema(), &request.function_name)?;
    Err(invalid("currently does not support alter BM25 function"))
}

/// Drops a function but not its outputs; one that is not there counts as dropped.
pub async fn drop_only_function(
    ctx: &Context,
    database: &str,
    request: DropCollectionFunctionRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    match find_function(&found.schema(), &request.function_name) {
        Ok(_) => Err(invalid("currently does not support droping BM25 function")),
        Err(_) => Ok(()),
    }
}

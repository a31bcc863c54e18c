//! Compiles the messages with a compiler written in Rust, so that no protoc is needed for ours, and
//! makes a table of the privileges that Milvus's requests name in their options.

use std::fmt::Write as _;
use std::path::Path;

use protox::prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=milvus");
    println!("cargo:rerun-if-changed=disk");
    let wire = protox::compile(["milvus.proto"], ["milvus"])?;
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .build_client(true)
        // A client's `connect` to an address would clash with the RPC `Connect`.
        .build_transport(false)
        .bytes(".milvus.proto.common.PlaceholderValue")
        .compile_fds(wire)?;
    let disk = protox::compile(["elanus.proto"], ["disk"])?;
    tonic_prost_build::configure().build_client(false).build_server(false).compile_fds(disk)?;
    let mut compiler = protox::Compiler::new(["milvus"])?;
    compiler.include_imports(true).open_file("milvus.proto")?;
    let table = guards(&compiler.descriptor_pool())?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("guards.rs"), table)?;
    Ok(())
}

/// An implementation of `Guarded` for each request of Milvus's service, and the names of its calls.
fn guards(pool: &DescriptorPool) -> Result<String, Box<dyn std::error::Error>> {
    let service = pool.get_service_by_name("milvus.proto.milvus.MilvusService");
    let service = service.ok_or("the service is missing")?;
    let mut seen = std::collections::BTreeSet::new();
    let mut code = String::new();
    let mut names = String::new();
    for method in service.methods() {
        write!(names, "{:?}, ", method.name())?;
        let message = method.input();
        if !method.is_client_streaming() && seen.insert(message.full_name().to_string()) {
            code += &guard(pool, &message)?;
        }
    }
    writeln!(code, "/// The calls of Milvus's service.\npub const METHODS: &[&str] = &[{names}];")?;
    Ok(code)
}

fn guard(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
) -> Result<String, Box<dyn std::error::Error>> {
    let extension = pool.get_extension_by_name("milvus.proto.common.privilege_ext_obj");
    let extension = extension.ok_or("the extension is missing")?;
    let path = message.full_name().replacen("milvus.proto.", "crate::milvus::proto::", 1);
    let path = path.replace('.', "::").replace(message.name(), &camel(message.name()));
    let options = message.options();
    if !options.has_extension(&extension) {
        return Ok(format!("impl Guarded for {path} {{}}\n"));
    }
    let option = options.get_extension(&extension);
    let option = option.as_message().ok_or("the option is no message")?;
    let number = |field: &str| {
        let value = option.get_field_by_name(field);
        value.and_then(|v| v.as_i32().or_else(|| v.as_enum_number())).unwrap_or_default()
    };
    let name_of = |kind: &str, number: i32| {
        let kind = pool.get_enum_by_name(&format!("milvus.proto.common.{kind}"))?;
        kind.get_value(number).map(|value| value.name().to_string())
    };
    let object = name_of("ObjectType", number("object_type")).ok_or("no object type")?;
    let privilege = name_of("ObjectPrivilege", number("object_privilege")).ok_or("no privilege")?;
    let objects = match (number("object_name_index"), number("object_name_indexs")) {
        (one, _) if one > 0 => named(message, one)?,
        (0, many) if many > 0 => {
            format!(
                "Objects::All(self.{}.iter().map(String::as_str).collect())",
                snake(message, many)?
            )
        }
        _ => "Objects::Any".to_string(),
    };
    Ok(format!(
        "impl Guarded for {path} {{\n    fn guard(&self) -> Option<Guard<'_>> {{\n        \
         Some(Guard {{ kind: ObjectType::{object}, privilege: {privilege:?}, objects: {objects} }})\n    }}\n}}\n"
    ))
}

/// The field that names the object: a text, or a message with a name.
fn named(message: &MessageDescriptor, number: i32) -> Result<String, Box<dyn std::error::Error>> {
    let field = message.get_field(number.try_into()?).ok_or("no such field")?;
    let name = snake(message, number)?;
    Ok(match field.kind() {
        Kind::Message(_) => {
            format!("Objects::of(self.{name}.as_ref().map_or(\"\", |one| one.name.as_str()))")
        }
        _ => format!("Objects::One(&self.{name})"),
    })
}

/// The name that a message has in Rust: of a run of capitals all but the first and the last are small.
fn camel(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let capital = |i: usize| letters.get(i).is_none_or(char::is_ascii_uppercase);
    let inside = |i: usize| i > 0 && capital(i - 1) && capital(i + 1);
    (0..letters.len())
        .map(|i| if inside(i) { letters[i].to_ascii_lowercase() } else { letters[i] })
        .collect()
}

/// The name that a field has in Rust.
fn snake(message: &MessageDescriptor, number: i32) -> Result<String, Box<dyn std::error::Error>> {
    let field = message.get_field(number.try_into()?).ok_or("no such field")?;
    let mut snake = String::new();
    let mut lower = false;
    for letter in field.name().chars() {
        if letter.is_ascii_uppercase() && lower {
            snake.push('_');
        }
        lower = letter.is_ascii_lowercase();
        snake.push(letter.to_ascii_lowercase());
    }
    Ok(snake)
}

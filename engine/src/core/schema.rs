//! A collection's schema and its Arrow form.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{
    DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit,
};

use super::error::{Error, Result, Subject, nearest_name};
use super::structs::StructSchema;
use super::timestamptz;

/// Name of the hidden JSON column that holds dynamic fields.
pub const DYNAMIC_FIELD: &str = "$meta";
/// Name of the hidden column with the commit timestamp in segment files.
pub const TIMESTAMP_FIELD: &str = "_ts";
/// Key of Arrow field metadata: `json` and `geometry` mark a text column that holds JSON or WKT,
/// `bfloat16_vector`, `binary_vector` and `sparse_float_vector` what binary values are.
pub const TYPE_METADATA: &str = "elanus:type";
/// Key of Arrow field metadata: the field's default as text.
pub const DEFAULT_METADATA: &str = "elanus:default";
/// Ids of user fields start here, as Milvus's do.
pub const FIRST_FIELD_ID: i64 = 100;

/// Type of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    /// True or false.
    Bool,
    /// Signed 8 bits.
    Int8,
    /// Signed 16 bits.
    Int16,
    /// Signed 32 bits.
    Int32,
    /// Signed 64 bits.
    Int64,
    /// IEEE 32 bits.
    Float,
    /// IEEE 64 bits.
    Double,
    /// UTF-8 text of at most `max_length` bytes.
    VarChar {
        /// Most bytes of a value.
        max_length: u32,
    },
    /// UTF-8 text of any length.
    Text,
    /// Any JSON value, kept as its text.
    Json,
    /// A moment: microseconds since 1970 in UTC.
    Timestamptz,
    /// A shape in the plane, kept as its well-known text (WKT).
    Geometry,
    /// At most `max_capacity` elements of one scalar type.
    Array {
        /// Type of the elements: a scalar, neither JSON nor an array; in structs also dense vectors and bits.
        element: Box<DataType>,
        /// Most elements of a value.
        max_capacity: u32,
    },
    /// `dim` 32-bit floats.
    FloatVector {
        /// Number of dimensions.
        dim: u32,
    },
    /// `dim` IEEE 16-bit floats.
    Float16Vector {
        /// Number of dimensions.
        dim: u32,
    },
    /// `dim` 16-bit floats with the exponent of 32-bit ones, little-endian.
    BFloat16Vector {
        /// Number of dimensions.
        dim: u32,
    },
    /// `dim` signed bytes.
    Int8Vector {
        /// Number of dimensions.
        dim: u32,
    },
    /// `dim` bits; bit `i` is bit `i % 8`, lowest first, of byte `i / 8`.
    BinaryVector {
        /// Number of dimensions, a multiple of 8.
        dim: u32,
    },
    /// Few 32-bit floats at positions from 0 to 2^32 - 2: pairs of position (u32) and value (f32),
    /// little-endian, positions ascending.
    SparseFloatVector,
}

/// A list of `dim` values for each row.
fn fixed_list(element: ArrowType, dim: u32) -> ArrowType {
    let item = Arc::new(ArrowField::new("item", element, true));
    ArrowType::FixedSizeList(item, i32::try_from(dim).unwrap_or(i32::MAX))
}

/// `size` bytes for each row.
fn fixed_bytes(size: u64) -> ArrowType {
    ArrowType::FixedSizeBinary(i32::try_from(size).unwrap_or(i32::MAX))
}

impl DataType {
    /// The Arrow type of a column.
    pub fn to_arrow(&self) -> ArrowType {
        match self {
            Self::Bool => ArrowType::Boolean,
            Self::Int8 => ArrowType::Int8,
            Self::Int16 => ArrowType::Int16,
            Self::Int32 => ArrowType::Int32,
            Self::Int64 => ArrowType::Int64,
            Self::Float => ArrowType::Float32,
            Self::Double => ArrowType::Float64,
            Self::VarChar { .. } | Self::Text | Self::Json | Self::Geometry => ArrowType::Utf8,
            Self::Timestamptz => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Array { element, .. } => {
                ArrowType::List(Arc::new(ArrowField::new("item", element.to_arrow(), true)))
            }
            Self::FloatVector { dim } => fixed_list(ArrowType::Float32, *dim),
            Self::Float16Vector { dim } => fixed_list(ArrowType::Float16, *dim),
            Self::Int8Vector { dim } => fixed_list(ArrowType::Int8, *dim),
            Self::BFloat16Vector { dim } => fixed_bytes(2 * u64::from(*dim)),
            Self::BinaryVector { dim } => fixed_bytes(u64::from(*dim) / 8),
            Self::SparseFloatVector => ArrowType::Binary,
        }
    }

    /// Whether values are truth values or numbers.
    pub fn is_bool_or_number(&self) -> bool {
        matches!(
            self,
            Self::Bool
                | Self::Int8
                | Self::Int16
                | Self::Int32
                | Self::Int64
                | Self::Float
                | Self::Double
        )
    }

    /// Whether values are vectors.
    pub fn is_vector(&self) -> bool {
        self.vector_dim().is_some() || self.is_sparse_vector()
    }

    /// Whether values are sparse vectors.
    pub fn is_sparse_vector(&self) -> bool {
        matches!(self, Self::SparseFloatVector)
    }

    /// Whether values are vectors of numbers of one length.
    pub fn is_dense_vector(&self) -> bool {
        self.vector_dim().is_some() && !self.is_binary_vector()
    }

    /// Whether values are plain text that users compare as text.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::VarChar { .. } | Self::Text)
    }

    /// Whether values are vectors of bits.
    pub fn is_binary_vector(&self) -> bool {
        matches!(self, Self::BinaryVector { .. })
    }

    /// What an array of vectors holds; such arrays are sub-fields of structs.
    pub fn vector_element(&self) -> Option<&DataType> {
        match self {
            Self::Array { element, .. } if element.is_vector() => Some(element),
            _ => None,
        }
    }

    /// Number of dimensions of a vector type (bits of a BinaryVector); a sparse vector has none.
    pub fn vector_dim(&self) -> Option<u32> {
        match self {
            Self::FloatVector { dim }
            | Self::Float16Vector { dim }
            | Self::BFloat16Vector { dim }
            | Self::Int8Vector { dim }
            | Self::BinaryVector { dim } => Some(*dim),
            _ => None,
        }
    }

    /// Bytes of one value of a vector type; a sparse vector has no fixed number.
    pub fn vector_bytes(&self) -> Option<u64> {
        match self {
            Self::FloatVector { dim } => Some(4 * u64::from(*dim)),
            Self::Float16Vector { dim } | Self::BFloat16Vector { dim } => Some(2 * u64::from(*dim)),
            Self::Int8Vector { dim } => Some(u64::from(*dim)),
            Self::BinaryVector { dim } => Some(u64::from(*dim) / 8),
            _ => None,
        }
    }

    /// What Arrow field metadata says beyond the Arrow type.
    fn type_mark(&self) -> Option<&'static str> {
        match self {
            Self::Json => Some("json"),
            Self::Geometry => Some("geometry"),
            Self::SparseFloatVector => Some("sparse_float_vector"),
            Self::BFloat16Vector { .. } => Some("bfloat16_vector"),
            Self::BinaryVector { .. } => Some("binary_vector"),
            _ => None,
        }
    }

    /// Whether values are integers.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// The name users know, as in `VarChar(64)`.
    pub fn display_name(&self) -> String {
        match self {
            Self::VarChar { max_length } => format!("VarChar({max_length})"),
            Self::Array { element, max_capacity } => {
                format!("Array<{}>({max_capacity})", element.display_name())
            }
            Self::FloatVector { dim } => format!("FloatVector({dim})"),
            Self::Float16Vector { dim } => format!("Float16Vector({dim})"),
            Self::BFloat16Vector { dim } => format!("BFloat16Vector({dim})"),
            Self::Int8Vector { dim } => format!("Int8Vector({dim})"),
            Self::BinaryVector { dim } => format!("BinaryVector({dim})"),
            other => format!("{other:?}"),
        }
    }
}

/// A default value of a scalar field.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultValue {
    /// For Bool.
    Bool(bool),
    /// For the integer types.
    Int(i64),
    /// For Float.
    Float(f32),
    /// For Double.
    Double(f64),
    /// For VarChar, Text and Geometry.
    Text(String),
    /// For JSON: its text.
    Json(String),
    /// For Timestamptz: microseconds since 1970 in UTC.
    Timestamp(i64),
}

impl DefaultValue {
    /// The value as text, as Arrow field metadata keeps it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Bool(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Double(v) => v.to_string(),
            Self::Text(v) | Self::Json(v) => v.clone(),
            Self::Timestamp(v) => timestamptz::utc_text(*v),
        }
    }
}

/// One field of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSchema {
    /// Number that never changes; user fields count from [`FIRST_FIELD_ID`].
    pub id: i64,
    /// Name, unique in the schema.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Type.
    pub data_type: DataType,
    /// Whether null is a value.
    pub nullable: bool,
    /// What a row gets that does not name the field.
    pub default_value: Option<DefaultValue>,
    /// Whether this is the primary key.
    pub is_primary: bool,
    /// Whether the engine makes the key.
    pub auto_id: bool,
    /// Whether rows are spread over partitions by this field.
    pub is_partition_key: bool,
    /// Whether rows are to be ordered by this field.
    pub is_clustering_key: bool,
    /// Whether a function of the schema makes its values; rows do not give them.
    pub is_function_output: bool,
    /// Further parameters as given, kept for describing (`mmap.enabled`, …).
    pub params: BTreeMap<String, String>,
}

impl FieldSchema {
    /// A plain field: not null, no default, no key.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            id: 0,
            name: name.into(),
            description: String::new(),
            data_type,
            nullable: false,
            default_value: None,
            is_primary: false,
            auto_id: false,
            is_partition_key: false,
            is_clustering_key: false,
            is_function_output: false,
            params: BTreeMap::new(),
        }
    }

    /// Makes it the primary key.
    pub fn primary(mut self) -> Self {
        self.is_primary = true;
        self
    }

    /// Lets the engine make the keys.
    pub fn auto_id(mut self) -> Self {
        self.auto_id = true;
        self
    }

    /// Allows null.
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Sets the default.
    pub fn default_value(mut self, value: DefaultValue) -> Self {
        self.default_value = Some(value);
        self
    }

    /// The Arrow field; where the Arrow type does not say all, metadata `elanus:type` does.
    pub fn to_arrow(&self) -> ArrowField {
        let mut metadata = std::collections::HashMap::new();
        if let Some(mark) = self.data_type.type_mark() {
            metadata.insert(TYPE_METADATA.to_string(), mark.to_string());
        }
        if let Some(default) = &self.default_value {
            metadata.insert(DEFAULT_METADATA.to_string(), default.to_text());
        }
        ArrowField::new(
            &self.name,
            self.data_type.to_arrow(),
            self.nullable || self.is_function_output,
        )
        .with_metadata(metadata)
    }
}

/// What makes the values of some fields out of others. Only BM25's run; see [`super::text`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FunctionSchema {
    /// Number that never changes; functions count from [`FIRST_FIELD_ID`] too.
    pub id: i64,
    /// Name, unique in the schema.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Milvus's number of the type.
    pub kind: i32,
    /// Fields that it reads.
    pub inputs: Vec<String>,
    /// Fields that it fills.
    pub outputs: Vec<String>,
    /// Further parameters as given.
    pub params: BTreeMap<String, String>,
}

/// The schema of a collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CollectionSchema {
    /// Free text.
    pub description: String,
    /// User fields in order.
    pub fields: Vec<FieldSchema>,
    /// Whether rows may carry fields that the schema does not name; they are kept in `$meta`.
    pub enable_dynamic_field: bool,
    /// What makes the values of some fields out of others.
    pub functions: Vec<FunctionSchema>,
    /// Fields that hold arrays of structs; their sub-fields are among [`Self::fields`].
    pub structs: Vec<StructSchema>,
}

impl CollectionSchema {
    /// A schema of these fields, numbered in order.
    pub fn new(fields: Vec<FieldSchema>) -> Self {
        let mut schema = Self { fields, ..Self::default() };
        schema.number_fields();
        schema
    }

    /// Accepts fields that the schema does not name.
    pub fn with_dynamic_field(mut self) -> Self {
        self.enable_dynamic_field = true;
        self
    }

    /// The first id that no field has had, as far as the fields that are left tell.
    pub fn next_field_id(&self) -> i64 {
        let ids = self.fields.iter().map(|f| f.id).chain(self.structs.iter().map(|s| s.id));
        ids.map(|id| id + 1).max().unwrap_or(0).max(FIRST_FIELD_ID)
    }

    /// Gives ids to fields that have none.
    pub fn number_fields(&mut self) {
        self.number_with_structs(self.next_field_id());
        let ids = self.functions.iter().map(|f| f.id + 1);
        let free = ids.max().unwrap_or(0).max(FIRST_FIELD_ID)..;
        let unnumbered = self.functions.iter_mut().filter(|f| f.id == 0);
        unnumbered.zip(free).for_each(|(function, id)| function.id = id);
    }

    /// Notes in each field whether a function fills it.
    pub fn mark_outputs(&mut self) {
        let functions = &self.functions;
        for field in &mut self.fields {
            field.is_function_output = functions.iter().any(|f| f.outputs.contains(&field.name));
        }
    }

    /// The field of that name, or an error that lists near names.
    pub fn field(&self, name: &str) -> Result<&FieldSchema> {
        self.fields.iter().find(|f| f.name == name).ok_or_else(|| {
            let hint = nearest_name(name, self.fields.iter().map(|f| f.name.as_str()))
                .map(|n| format!("; did you mean \"{n}\"?"))
                .unwrap_or_default();
            Error::not_found(Subject::Field, format!("field {name} not exist{hint}"))
        })
    }

    /// Whether the schema names that field.
    pub fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|f| f.name == name)
    }

    /// The primary key field.
    pub fn primary(&self) -> Result<&FieldSchema> {
        self.fields
            .iter()
            .find(|f| f.is_primary)
            .ok_or_else(|| Error::invalid(Subject::Schema, "schema has no primary key field"))
    }

    /// The vector fields in order.
    pub fn vector_fields(&self) -> impl Iterator<Item = &FieldSchema> {
        self.fields.iter().filter(|f| f.data_type.is_vector())
    }

    /// The partition key field, if declared.
    pub fn partition_key(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_partition_key)
    }

    /// The field by which rows are ordered, if declared.
    pub fn clustering_key(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_clustering_key)
    }

    /// Columns as readers see them: the fields, then `$meta` where dynamic fields are on.
    pub fn to_arrow(&self) -> SchemaRef {
        let mut fields: Vec<ArrowField> = self.fields.iter().map(FieldSchema::to_arrow).collect();
        if self.enable_dynamic_field {
            fields.push(Self::dynamic_arrow_field());
        }
        Arc::new(ArrowSchema::new(fields))
    }

    /// Columns as segment files hold them: [`Self::to_arrow`], then `_ts`.
    pub fn to_storage_arrow(&self) -> SchemaRef {
        let mut fields: Vec<_> = self.to_arrow().fields().iter().cloned().collect();
        fields.push(Arc::new(ArrowField::new(TIMESTAMP_FIELD, ArrowType::UInt64, false)));
        Arc::new(ArrowSchema::new(fields))
    }

    fn dynamic_arrow_field() -> ArrowField {
        ArrowField::new(DYNAMIC_FIELD, ArrowType::Utf8, false)
            .with_metadata([(TYPE_METADATA.into(), "json".into())].into())
    }
}

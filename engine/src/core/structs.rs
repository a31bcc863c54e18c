//! Fields that hold arrays of structs.
//!
//! A struct field has no column of its own. Each of its sub-fields is a field of the schema that is named
//! `name[sub]` and holds arrays, scalars or vectors of one dimension; in each row all sub-fields of a struct
//! have the same length, and are null together. Element `i` of the struct is element `i` of each of them.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};

use super::error::{Error, Result, Subject};
use super::schema::{CollectionSchema, DataType, FieldSchema};

/// What a struct field has beside its sub-fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StructSchema {
    /// Number that never changes; counts with those of fields.
    pub id: i64,
    /// Name, unique among those of fields and structs.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whether null is a value; it is one of all sub-fields then.
    pub nullable: bool,
    /// Further parameters as given, kept for describing.
    pub params: BTreeMap<String, String>,
}

/// The name of a sub-field's column.
pub fn sub_name(name: &str, sub: &str) -> String {
    format!("{name}[{sub}]")
}

/// The struct and the sub-field that a column's name is made of.
pub fn split_name(column: &str) -> Option<(&str, &str)> {
    let (name, sub) = column.strip_suffix(']')?.split_once('[')?;
    (!name.is_empty() && !sub.is_empty()).then_some((name, sub))
}

impl StructSchema {
    /// The sub-field whose column has that name.
    pub fn sub_of<'a>(&self, column: &'a str) -> Option<&'a str> {
        split_name(column).filter(|(name, _)| *name == self.name).map(|(_, sub)| sub)
    }
}

impl CollectionSchema {
    /// The struct of that name.
    pub fn struct_named(&self, name: &str) -> Option<&StructSchema> {
        self.structs.iter().find(|s| s.name == name)
    }

    /// The struct that a column is a sub-field of.
    pub fn struct_of(&self, column: &str) -> Option<&StructSchema> {
        self.structs.iter().find(|s| s.sub_of(column).is_some())
    }

    /// The sub-fields of a struct in order.
    pub fn sub_fields<'a>(
        &'a self,
        of: &'a StructSchema,
    ) -> impl Iterator<Item = &'a FieldSchema> + 'a {
        self.fields.iter().filter(|f| of.sub_of(&f.name).is_some())
    }

    /// The sub-field that is quickest to ask how many elements a row has: one of scalars, if there is one.
    pub fn counted_field<'a>(&'a self, of: &'a StructSchema) -> Option<&'a FieldSchema> {
        let scalars = self.sub_fields(of).find(|f| f.data_type.vector_element().is_none());
        scalars.or_else(|| self.sub_fields(of).next())
    }

    /// The fields that belong to no struct, in order.
    pub fn plain_fields(&self) -> impl Iterator<Item = &FieldSchema> {
        self.fields.iter().filter(|f| self.struct_of(&f.name).is_none())
    }

    /// The fields that searches can be asked of: vector fields, and sub-fields that hold vectors.
    pub fn searched_fields(&self) -> impl Iterator<Item = &FieldSchema> {
        let searched = |t: &DataType| t.is_vector() || t.vector_element().is_some();
        self.fields.iter().filter(move |f| searched(&f.data_type))
    }

    /// Gives numbers to what has none: plain fields, then each struct and its sub-fields.
    pub(super) fn number_with_structs(&mut self, mut next: i64) {
        let mut number = |id: &mut i64| {
            if *id == 0 {
                *id = next;
                next += 1;
            }
        };
        let structs = self.structs.clone();
        let of = |f: &FieldSchema| structs.iter().position(|s| s.sub_of(&f.name).is_some());
        self.fields.iter_mut().filter(|f| of(f).is_none()).for_each(|f| number(&mut f.id));
        for (at, own) in self.structs.iter_mut().enumerate() {
            number(&mut own.id);
            let subs = self.fields.iter_mut().filter(|f| of(f) == Some(at));
            subs.for_each(|f| number(&mut f.id));
        }
    }

    /// Refuses structs that cannot be held.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](super::error::ErrorKind::InvalidRequest) if a struct has no sub-field, shares
    /// its name, or has a sub-field that is no array, differs in capacity or in whether null is a value; and if
    /// an array of vectors lies outside of structs.
    pub fn check_structs(&self) -> Result<()> {
        let bad = |why: String| Err(Error::invalid(Subject::Schema, why));
        for (at, own) in self.structs.iter().enumerate() {
            let name = &own.name;
            if self.has_field(name) || self.structs.iter().take(at).any(|s| s.name == *name) {
                return bad(format!("duplicated field name {name}"));
            }
            let mut capacities = self.sub_fields(own).map(|f| match f.data_type {
                DataType::Array { max_capacity, .. } => Some(max_capacity),
                _ => None,
            });
            let Some(first) = capacities.next() else {
                return bad(format!("struct array field {name} has no sub-fields"));
            };
            if first.is_none() || capacities.any(|c| c != first) {
                return bad(format!(
                    "the sub-fields of struct array field {name} must be arrays of one max_capacity"
                ));
            }
            if self.sub_fields(own).any(|f| f.nullable != own.nullable) {
                return bad(format!(
                    "the sub-fields of struct array field {name} must be nullable as it is"
                ));
            }
        }
        let vectors =
            |f: &FieldSchema| Some((f.name.clone(), f.data_type.vector_element()?.clone()));
        match self.plain_fields().find_map(vectors) {
            Some((name, element)) => bad(format!(
                "field {name}: element type {} is not supported outside of structs",
                element.display_name()
            )),
            None => Ok(()),
        }
    }

    /// Refuses rows in which the sub-fields of a struct differ in length.
    pub(super) fn check_lengths(&self, rows: &RecordBatch) -> Result<()> {
        for own in &self.structs {
            let lists = self.sub_fields(own).filter_map(|f| {
                let list = rows.column_by_name(&f.name)?.as_list_opt::<i32>()?;
                Some((f, list))
            });
            let lists: Vec<_> = lists.collect();
            let Some((first, rest)) = lists.split_first() else { continue };
            let length = |list: &arrow::array::ListArray, row: usize| {
                list.is_valid(row).then(|| list.value_length(row))
            };
            let words = |length: Option<i32>| length.map_or("null".to_string(), |n| n.to_string());
            for ((field, list), row) in
                rest.iter().flat_map(|of| (0..rows.num_rows()).map(move |row| (of, row)))
            {
                let (want, got) = (length(first.1, row), length(list, row));
                if want != got {
                    return Err(Error::invalid(
                        Subject::Field,
                        format!(
                            "inconsistent array length in struct {}: row {row} has {} elements in {} \
                             but {} in {}",
                            own.name,
                            words(want),
                            first.0.name,
                            words(got),
                            field.name
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_come_apart() {
        assert_eq!(split_name("s[a]"), Some(("s", "a")));
        assert_eq!(split_name("s"), None);
        assert_eq!(split_name("[a]"), None);
        assert_eq!(split_name("s[]"), None);
        assert_eq!(sub_name("s", "a"), "s[a]");
    }

    fn schema(capacities: [u32; 2]) -> CollectionSchema {
        let array = |name: &str, element: DataType, max_capacity| {
            FieldSchema::new(name, DataType::Array { element: Box::new(element), max_capacity })
        };
        let [a, b] = capacities;
        let mut schema = CollectionSchema {
            fields: vec![
                array("s[a]", DataType::Int64, a),
                array("s[v]", DataType::FloatVector { dim: 2 }, b),
                FieldSchema::new("id", DataType::Int64).primary(),
            ],
            structs: vec![StructSchema { name: "s".into(), ..StructSchema::default() }],
            ..CollectionSchema::default()
        };
        schema.number_fields();
        schema
    }

    #[test]
    fn a_struct_is_numbered_before_its_sub_fields() {
        let schema = schema([4, 4]);
        assert!(schema.check_structs().is_ok());
        let ids: Vec<i64> = schema.fields.iter().map(|f| f.id).collect();
        assert_eq!((ids, schema.structs[0].id), (vec![102, 103, 100], 101));
    }

    #[test]
    fn odd_structs_are_refused() {
        assert!(schema([4, 5]).check_structs().is_err());
        let mut without = schema([4, 4]);
        without.structs.clear();
        assert!(without.check_structs().is_err());
        let mut twice = schema([4, 4]);
        twice.fields.push(FieldSchema::new("s", DataType::Int64));
        assert!(twice.check_structs().is_err());
    }
}

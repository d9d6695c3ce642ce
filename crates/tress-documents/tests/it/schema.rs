//! The schema, its document and the code say the same.

use tress_documents::schema::{Field, Kind, fields};
use tress_documents::{Node, project};
use tress_model::Strand;

use crate::rich::rich;

const DOCUMENT: &str = include_str!("../../../../docs/SCHEMA.md");

fn kind(node: &Node) -> Kind {
    match node {
        Node::Map(_) => Kind::Map,
        Node::Text(_) => Kind::Text,
        Node::Str(_) => Kind::Str,
        Node::Int(_) => Kind::Int,
        Node::Float(_) => Kind::Float,
        Node::Bool(_) => Kind::Bool,
        Node::Timestamp(_) => Kind::Timestamp,
    }
}

fn walk(node: &Node, path: &[&str], visit: &mut impl FnMut(&[&str], &Node)) {
    for (key, child) in node.as_map().into_iter().flatten() {
        let path = [path, &[key.as_str()]].concat();
        visit(&path, child);
        walk(child, &path, visit);
    }
}

#[test]
fn every_path_of_a_projection_is_in_the_schema_and_the_other_way_round() {
    for strand in Strand::ALL {
        let mut unseen: Vec<&Field> = fields(strand).iter().collect();
        walk(&project(&rich(), strand), &[], &mut |path, node| {
            let field = fields(strand).iter().find(|field| field.describes(path));
            let field = field.unwrap_or_else(|| panic!("{path:?} is not in the schema"));
            assert_eq!(field.kind, kind(node), "{path:?}");
            unseen.retain(|other| other.path != field.path);
        });
        let unseen: Vec<&str> = unseen.iter().map(|field| field.path).collect();
        assert_eq!(unseen, Vec::<&str>::new(), "no projection has these");
    }
}

#[test]
fn the_schema_is_written_down_row_by_row() {
    let mut expected = Vec::new();
    for strand in Strand::ALL {
        expected.push(format!("## The {} document", strand.name()));
        let row = |field: &Field| {
            format!("| `{}` | {} | {} |", field.path, field.kind.name(), field.meaning)
        };
        expected.extend(fields(strand).iter().map(row));
    }
    let lines = DOCUMENT.lines();
    let found = lines.filter(|line| line.starts_with("| `") || line.starts_with("## The "));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

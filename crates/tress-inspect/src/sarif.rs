//! Findings as SARIF 2.1.0 (OASIS, 2020), the form that code hosts and editors read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Finding;

/// The SARIF log of one run that found `findings`, as JSON text. `version` is that of the program.
pub fn sarif(version: &str, findings: &[Finding]) -> String {
    let mut rules: BTreeMap<&str, usize> = findings.iter().map(|f| (f.rule.as_str(), 0)).collect();
    for (index, place) in rules.values_mut().enumerate() {
        *place = index;
    }
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &rules)).collect();
    let described: Vec<Value> = rules.keys().map(|rule| json!({ "id": rule })).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "tress", "version": version, "rules": described } },
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn result(finding: &Finding, rules: &BTreeMap<&str, usize>) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&finding.path), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": finding.line, "startColumn": finding.column },
        },
    });
    if let (Some(symbol), Some(location)) = (&finding.symbol, location.as_object_mut()) {
        location.insert("logicalLocations".into(), json!([{ "fullyQualifiedName": symbol }]));
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.get(finding.rule.as_str()),
        "level": finding.severity.name(),
        "message": { "text": finding.message },
        "locations": [location],
    })
}

/// A path as a relative URI: what is not allowed in one is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

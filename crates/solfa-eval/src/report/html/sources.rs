//! What the numbers were measured on.

use std::fmt::Write as _;

use super::{listed, put};
use crate::report::model::Report;
use crate::report::svg::escape;

pub(super) fn section(report: &Report) -> String {
    let provenance = &report.provenance;
    if provenance.num_rows == 0 {
        return String::new();
    }
    let mut out = String::from(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Task</th><th scope=\"col\">Data set</th>\
         <th scope=\"col\">SHA-256</th><th scope=\"col\" class=\"number\">train</th>\
         <th scope=\"col\" class=\"number\">validation</th><th scope=\"col\" class=\"number\">test</th>\
         <th scope=\"col\">Protocol</th><th scope=\"col\">Head</th></tr></thead><tbody>\n",
    );
    for panel in &report.panels {
        let (train, validation, test) = panel.num_recordings;
        put!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td><code title=\"{}\">{}</code></td><td class=\"number\">{train}</td>\
             <td class=\"number\">{validation}</td><td class=\"number\">{test}</td><td>{}</td><td>{}</td></tr>\n",
            escape(&panel.title),
            escape(&panel.dataset),
            escape(&panel.dataset_sha256),
            escape(&panel.dataset_sha256.chars().take(12).collect::<String>()),
            escape(&panel.protocol),
            escape(&panel.head)
        );
    }
    out.push_str(
        "</tbody></table></div>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Encoder</th>\
                  <th scope=\"col\">space_id</th></tr></thead><tbody>\n",
    );
    for encoder in &report.encoders {
        const SHOWN: usize = 3;
        let mut ids: Vec<String> =
            encoder.space_ids.iter().take(SHOWN).map(|id| format!("<code>{}</code>", escape(id))).collect();
        if encoder.space_ids.len() > SHOWN {
            ids.push(format!("{} more", encoder.space_ids.len() - SHOWN));
        }
        put!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(&encoder.name), listed(&ids));
    }
    out.push_str("</tbody></table></div>\n");
    let seeds: Vec<String> = provenance.seeds.iter().map(u64::to_string).collect();
    let versions: Vec<String> = provenance.versions.iter().map(|version| escape(version)).collect();
    put!(
        out,
        "<p class=\"hint\">Seeds: {}. Measured by solfa {}. A score is the mean over its seeds; its interval comes from \
         drawing recordings anew (bootstrap).</p>",
        if seeds.is_empty() { "none".into() } else { listed(&seeds) },
        listed(&versions)
    );
    out
}

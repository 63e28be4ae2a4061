//! The file itself.

use super::super::rows;
use crate::vendor::catalogue;

/// Vendors that are reached through a cloud.
const CLOUDS: [&str; 6] =
    ["azure", "azure-classic", "bedrock", "bedrock-openai", "vertex", "vertex-anthropic"];

#[test]
fn every_row_belongs_to_vendors_of_the_catalogue() {
    for row in rows() {
        assert!(!row.vendors.is_empty() && !row.quirks.is_empty());
        for vendor in &row.vendors {
            let is_known = catalogue::vendors().iter().any(|it| it.id == *vendor);
            assert!(is_known || CLOUDS.contains(&vendor.as_str()), "{vendor}");
        }
    }
}

#[test]
fn no_entry_is_wrong_in_itself() {
    for row in rows() {
        for quirk in &row.quirks {
            assert_eq!(quirk.faults(), [], "{:?}", row.vendors);
        }
    }
}

//! Generates names for clusters that are created without one.

use rand::seq::IndexedRandom;

const COLORS: [&str; 24] = [
    "amber", "azure", "blue", "bronze", "coral", "crimson", "cyan", "golden", "green", "indigo", "ivory",
    "jade", "lilac", "maroon", "mint", "olive", "orange", "pearl", "purple", "ruby", "scarlet", "silver",
    "teal", "violet",
];
const ANIMALS: [&str; 40] = [
    "badger", "beaver", "bison", "cricket", "crane", "dog", "dolphin", "eagle", "falcon", "ferret", "finch",
    "fox", "gecko", "goose", "hare", "hawk", "heron", "horse", "ibis", "koala", "lemur", "lion", "lynx",
    "marten", "moose", "newt", "orca", "otter", "owl", "panda", "puffin", "rabbit", "raven", "robin",
    "salmon", "seal", "stork", "swan", "tiger", "wolf",
];

/// A random name that isn't taken.
pub(super) fn generate(taken: &[&str]) -> String {
    let mut random = rand::rng();
    for _ in 0..64 {
        let words = (COLORS.choose(&mut random), ANIMALS.choose(&mut random));
        let name = format!("{}-{}", words.0.unwrap_or(&"blue"), words.1.unwrap_or(&"dog"));
        if !taken.contains(&name.as_str()) {
            return name;
        }
    }
    format!("cluster-{:06}", rand::random_range(0..1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::{cluster::create::NAME_MAX, names};

    #[test]
    fn every_generated_name_is_valid() {
        for color in COLORS {
            for animal in ANIMALS {
                names::cluster(&format!("{color}-{animal}"), NAME_MAX).unwrap();
            }
        }
    }

    #[test]
    fn taken_names_are_not_generated() {
        let all: Vec<String> =
            COLORS.iter().flat_map(|c| ANIMALS.iter().map(move |a| format!("{c}-{a}"))).collect();
        let (free, taken) = all.split_first().unwrap();
        let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
        let name = generate(&taken);
        assert!(name == *free || name.starts_with("cluster-"));
        names::cluster(&name, NAME_MAX).unwrap();
    }
}

//! Carillon's one binary.

fn main() {
    println!("carillon");
}

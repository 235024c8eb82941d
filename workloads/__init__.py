"""What clients do: seeded generators of operations, their wire encoding, and which model judges them."""

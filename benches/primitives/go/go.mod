module primitives

go 1.21

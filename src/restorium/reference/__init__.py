"""Pages about the APIs for people, rendered from their OpenAPI documents. They load nothing from anywhere else."""

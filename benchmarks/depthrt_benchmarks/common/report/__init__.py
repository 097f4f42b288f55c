"""What the reports of export, bench and eval share: page, plots, pictures, MLflow."""

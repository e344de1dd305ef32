# One operator on AWS: a machine whose enclave holds the shares, its key, its store, its network.
# Not yet run on AWS. Checked by tests/image/test_terraform.py.

terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]

  default_tags {
    tags = {
      Project  = "ringforge"
      Operator = var.operator
    }
  }
}

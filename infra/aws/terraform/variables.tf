# Not yet run on AWS.

variable "operator" {
  description = "The operator's name in the plan."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,31}$", var.operator))
    error_message = "A name as it stands in a plan."
  }
}

variable "account" {
  description = "The operator's AWS account: nobody else's may be changed by mistake."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "Twelve digits."
  }
}

variable "region" {
  description = "Region of the machine, the key and the buckets."
  type        = string
}

variable "availability_zone" {
  description = "Zone of the machine, in that region."
  type        = string
}

variable "key_policy" {
  description = "File that `ringforge operator policy` wrote for this operator and plan."
  type        = string
}

variable "people" {
  description = "ARNs of those who speak for the operator; they take the role `people`, with a second factor."
  type        = list(string)

  validation {
    condition     = length(var.people) > 0 && !contains(var.people, "*")
    error_message = "At least one, each by its own ARN."
  }
}

variable "ami" {
  description = "Amazon Linux 2023 for the machine, by its id: an image, not a name that moves."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami))
    error_message = "The id of an image."
  }
}

variable "image_sha256" {
  description = "SHA-256 of the enclave image, as the signed manifest names it."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.image_sha256))
    error_message = "64 hex digits."
  }
}

variable "instance_type" {
  description = "A type that can have enclaves, with at least 6 CPUs and 24 GiB."
  type        = string
  default     = "m6a.2xlarge"
}

variable "port" {
  description = "Where peers reach this operator."
  type        = number
  default     = 7443
}

variable "peers" {
  description = "Operators, coordinator and Temporal server, by name: address, its range, port, and the port of the parent at which the enclave finds it."
  type = map(object({
    address    = string
    range      = string
    port       = number
    vsock_port = number
  }))

  validation {
    condition     = alltrue([for peer in var.peers : peer.range != "0.0.0.0/0"])
    error_message = "A range of peers, not everybody."
  }

  validation {
    condition     = alltrue([for peer in var.peers : peer.vsock_port > 8099 && peer.vsock_port < 8200])
    error_message = "Ports 8100 to 8199 of the parent are those of peers."
  }
}

variable "retention_days" {
  description = "For how long nobody, the account's administrators included, deletes a version of a sealed object."
  type        = number
  default     = 30
}

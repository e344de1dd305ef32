# Not yet run on AWS.

# The parent of the enclave. It sees ciphertext only; whoever owns it can stop the operator and no more.
# A changed file of infra/aws/parent makes a new machine: there is no way to change a running one.

locals {
  # Ports of the parent at which the enclave finds the services of AWS; of S3 its own bucket only.
  services = {
    keys     = { address = "kms.${var.region}.amazonaws.com", port = 443, vsock_port = 8001 }
    objects  = { address = "${local.buckets.state}.s3.${var.region}.amazonaws.com", port = 443, vsock_port = 8002 }
    metadata = { address = "169.254.169.254", port = 80, vsock_port = 8003 }
  }

  egress = merge(local.services, {
    for name, peer in var.peers : name => {
      address    = peer.address
      port       = peer.port
      vsock_port = peer.vsock_port
    }
  })

  parent = "${path.module}/../parent"

  files = merge(
    {
      for name in fileset(local.parent, "*.service") :
      "/etc/systemd/system/${name}" => file("${local.parent}/${name}")
    },
    {
      for name, way in local.egress :
      "/etc/ringforge/egress/${name}.env" => "VSOCK_PORT=${way.vsock_port}\nADDRESS=${way.address}\nPORT=${way.port}\n"
    },
    {
      "/etc/ringforge/vsock-proxy.yaml" = yamlencode({
        allowlist = [for name, way in local.egress : { address = way.address, port = way.port }]
      })
      "/etc/ringforge/ingress.env"         = "PORT=${var.port}\n"
      "/etc/ringforge/enclave.json"        = file("${local.parent}/enclave.json")
      "/etc/nitro_enclaves/allocator.yaml" = file("${local.parent}/allocator.yaml")
      "/etc/ringforge/image.sha256"        = "${var.image_sha256}  /var/lib/ringforge/ringforge.eif\n"
    },
  )
}

resource "aws_instance" "parent" {
  ami                         = var.ami
  instance_type               = var.instance_type
  subnet_id                   = aws_subnet.operator.id
  vpc_security_group_ids      = [aws_security_group.parent.id]
  iam_instance_profile        = aws_iam_instance_profile.parent.name
  ebs_optimized               = true
  monitoring                  = true
  user_data_replace_on_change = true

  user_data_base64 = base64gzip(templatefile("${path.module}/../parent/start.sh.tftpl", {
    files  = local.files
    egress = keys(local.egress)
    bucket = local.buckets.image
    region = var.region
  }))

  enclave_options {
    enabled = true
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  root_block_device {
    encrypted   = true
    volume_size = 16
    volume_type = "gp3"
  }

  lifecycle {
    precondition {
      condition     = length(distinct([for name, way in local.egress : way.vsock_port])) == length(local.egress)
      error_message = "Two ways out have the same port of the parent."
    }
  }
}

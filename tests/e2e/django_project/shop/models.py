from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=50, unique=True)
    price = models.IntegerField()

    def __str__(self):
        return self.name


class Order(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    count = models.IntegerField(default=1)

    def total(self):
        return self.product.price * self.count
